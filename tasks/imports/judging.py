"""An imported model before the gate: its answers to labelled rows, beside the champion's to the same rows. N rows, K classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.errors import MillraceError, SchemaError
from storage.manifests import fetch_files
from storage.objects import ObjectStore
from storage.registry import Registry, Version
from tasks.imports.answers import REGRESSION, Answers, targets
from tasks.imports.artifacts import Imported
from tasks.imports.tables import Rows
from tasks.inference.predictor import Predictor
from tasks.inference.releases import load_version
from tasks.judgement import ALREADY_CHAMPION
from tasks.scoring.decisions import Verdict
from tasks.scoring.gate import decide
from tasks.scoring.metrics import score
from tasks.sections import EvaluateSection
from tasks.transforms.items import ItemError

FEWEST_ROWS = 20


@dataclass(frozen=True)
class Judged:
    """`metrics`: as `millrace run` has them, of `rows` labelled rows."""

    metrics: dict[str, Any]
    verdict: Verdict
    rows: int


@dataclass(frozen=True)
class Serving:
    """What the registry says of the name today. `version`: what holds the alias."""

    version: Version | None
    same: bool
    rolled_back: bool


def what_serves(registry: Registry, name: str, alias: str, imported: Imported) -> Serving:
    """The alias's version, and what the log knows of the artifact."""
    version, digest = registry.alias(name, alias), imported.artifact.digest
    return Serving(version, version is not None and version.artifact == digest, digest in registry.rolled_back(name))


def truth(answers: Answers, rows: Rows, target: str) -> np.ndarray:
    """(N,) the right answers, as the gate wants them; SchemaError where there are too few, or of other classes."""
    if len(rows) < FEWEST_ROWS:
        raise SchemaError(f"{rows.url}: found {len(rows)} rows, wanted at least {FEWEST_ROWS} to judge by; give more")
    return targets(answers, rows, target)


def judge(
    store: ObjectStore,
    registry: Registry,
    section: EvaluateSection,
    imported: Imported,
    rows: Rows,
    y_N: np.ndarray,
    name: str,
    serving: Serving,
) -> Judged:
    """Metrics on the rows, and the gate's verdict. It is the artifact that answers, as it would serve."""
    answers, predictor = imported.answers, Predictor.load(fetch_files(store, imported.manifest))
    outputs = predictor.outputs(predictor.transforms.features(imported.original.taken.columns(rows)))
    how = {"confidence": section.confidence, "resamples": section.resamples, "seed": section.seed}
    scale = predictor.transforms.target_scale
    metrics = score(answers.task, predictor.classes, y_N, outputs, target_scale=scale, **how).metrics
    if serving.same:
        return Judged(metrics, ALREADY_CHAMPION, len(rows))
    rival, not_comparable = None, ""
    if serving.version is not None:
        rival, not_comparable = _rival(store, registry, name, serving.version, answers, rows)
    verdict = decide(
        section, y_N, outputs, None, rival,
        scored=metrics[section.metric], target_scale=scale, rolled_back=serving.rolled_back, not_comparable=not_comparable,
    )  # fmt: skip
    return Judged(metrics, verdict, len(rows))


def _rival(
    store: ObjectStore, registry: Registry, name: str, version: Version, answers: Answers, rows: Rows
) -> tuple[np.ndarray | None, str]:
    """The champion's outputs on the same rows, in the order and unit of ours; or None and why it has none."""
    try:
        predictor, _ = load_version(store, registry, name, version)
        theirs = predictor.transforms
        if theirs.task != answers.task or set(predictor.classes) != set(answers.classes):
            return None, "its task or classes differ from the candidate's"
        missing = [column for column in theirs.input.columns if column not in rows.names]
        if missing:
            return None, f"it wants the column {missing[0]!r}, which {rows.url} does not have"
        outputs = predictor.outputs(theirs.features(predictor.parse(_items(rows, theirs.input.columns))))
    except ItemError as error:
        return None, f"it cannot answer row {error.index + 1} of {rows.url}: {error.message}"
    except MillraceError as error:
        return None, str(error)
    if answers.task == REGRESSION:
        return np.asarray(theirs.predictions(outputs))[:, None] / answers.unit, ""
    return outputs[:, [predictor.classes.index(label) for label in answers.classes]], ""


def _items(rows: Rows, columns: Sequence[str]) -> list[Any]:
    """The rows as a client would send them: of one column its cells, else objects."""
    cells = {
        name: rows.numbers(name).tolist() if rows.is_numeric(name) else rows.column(name).to_pylist()
        for name in columns
    }
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
