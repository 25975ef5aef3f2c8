"""What a run gives back to Python: its summary as an object, its report, and the model that it judged."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import PosixPath
from typing import Any

import numpy as np
from prefect.client.schemas.objects import State
from prefect.states import Completed

from storage.errors import ConfigError
from storage.objects import open_store
from storage.refs import ArtifactRef
from storage.runs import read_run
from storage.surroundings import surrounded
from tasks.scoring.decisions import Verdict
from tasks.transforms.items import ItemError

STATE_NAMES = {"promote": "Completed", "hold": "Held", "reject": "Rejected"}
REPORT_HEIGHT = 700  # pixels, in a notebook


class Report(PosixPath):
    """The path of a run's report, one HTML file; a notebook shows the report itself."""

    def _repr_html_(self) -> str:
        content = html.escape(self.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{content}" width="100%" height="{REPORT_HEIGHT}" style="border:0"></iframe>'


@dataclass(frozen=True)
class Model:
    """A model as it ships, verified by its digest and loaded at its first prediction. `settings`: what its run was told of the store."""

    artifact: ArtifactRef
    settings: Mapping[str, str] = field(default_factory=dict)

    def predict(self, rows: Any) -> list[Any]:
        """The class name or number for each row.

        `rows`: a list of items as a client sends them, a DataFrame (columns that the model does not know are left out), or an array or
        Series of such items. ItemError names the first row that cannot be used.
        """
        predictor = self._predictor()
        return predictor.predict(predictor.parse(as_items(rows, predictor.transforms.input.columns)))[0]

    def probabilities(self, rows: Any) -> list[dict[str, float]]:
        """The probability of each class, for each row; ConfigError for a regression."""
        predictor = self._predictor()
        if not predictor.classes:
            raise ConfigError("probabilities: the model predicts a number, and no classes; use predict")
        outputs_BK = predictor.predict(predictor.parse(as_items(rows, predictor.transforms.input.columns)))[1]
        return [dict(zip(predictor.classes, map(float, output_K), strict=True)) for output_K in outputs_BK]

    def describe(self) -> dict[str, Any]:
        """What an item and a prediction look like, with an example."""
        return self._predictor().transforms.describe()

    def _predictor(self) -> Any:
        with surrounded(self.settings):
            return _loaded(self.artifact.uri, self.artifact.digest)


@cache
def _loaded(storage: str, digest: str) -> Any:
    from tasks.inference.releases import (
        load_artifact,
    )  # ONNX Runtime, which a run that only reads its summary never needs

    return load_artifact(storage, digest)


@dataclass(frozen=True)
class Result:
    """A run's end. `summary`: what `millrace run --json` prints; `verdict`: the gate's decision and reasons.

    `model` is always the one that this run judged: the one that serves now where the verdict is promote, else the refused candidate,
    to be looked into; the champion stays what it was.
    """

    summary: Mapping[str, Any]
    verdict: Verdict
    model: Model

    @property
    def metrics(self) -> dict[str, Any]:
        """By name: value, low, high, n; on test rows."""
        return self.summary["metrics"]

    @property
    def report(self) -> Report:
        """The report's path; that of a run that computed nothing is drawn when it is asked for."""
        return Report(self.summary["report"] or self._drawn())

    def to_json(self) -> str:
        """The summary as one JSON object."""
        return json.dumps(self.summary)

    def state(self) -> State:
        """A flow's last state: its name says what the gate decided."""
        reasons = "; ".join(self.verdict.reasons)
        return Completed(name=STATE_NAMES[self.verdict.decision], message=reasons, data=self)

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {entry['value']:.4g}" for name, entry in self.metrics.items())
        return f"{self.summary['pipeline']}: {self.verdict.decision} ({values}); run {self.summary['run_id']}"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def _drawn(self) -> str:
        from flows.reporting import drawn_report  # and Matplotlib, which a run that only reads its summary never needs

        with surrounded(self.model.settings):
            storage = self.model.artifact.uri
            return drawn_report(storage, read_run(open_store(storage), self.summary["run_id"]))


def as_items(rows: Any, columns: Sequence[str]) -> list[Any]:
    """`rows` as the items of a request. A DataFrame's rows become objects of the model's `columns`, missing values null."""
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        absent = [name for name in columns if name not in rows.columns]
        if absent:
            raise ItemError(0, f"column {absent[0]!r} is missing, wanted {', '.join(columns)}")
        records = rows[list(columns)].to_dict("records")
        return [{name: _plain(value) for name, value in record.items()} for record in records]
    if isinstance(rows, str | Mapping):
        raise ConfigError(f"predict: found one {type(rows).__name__}, wanted a list of items; put it into a list")
    items = rows.tolist() if hasattr(rows, "tolist") else list(rows)
    return [_plain(item) for item in items]


def _plain(value: Any) -> Any:
    """A cell as JSON has it: NaN and NaT are null, arrays are lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or _is_missing(value) else value


def _is_missing(value: Any) -> bool:
    """Whether it is NaN, NaT or pandas' NA: not equal to itself, or not able to say."""
    if isinstance(value, list | tuple | Mapping | str):
        return False
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return True
