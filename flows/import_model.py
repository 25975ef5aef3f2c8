"""A model made elsewhere becomes a version of ours: told, opened, understood, adapted, compared with itself, judged, registered, tried, promoted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from flows import sizing
from storage.errors import CorruptArtifact, ProcessFailed
from storage.objects import open_store
from storage.registry import open_registry
from tasks.imports.answers import REGRESSION, Answers, Said, understand
from tasks.imports.artifacts import Imported, golden, put_artifact
from tasks.imports.inputs import Asked
from tasks.imports.judging import Judged, Serving, judge, truth, what_serves
from tasks.imports.kinds import tell_kind
from tasks.imports.originals import Original, open_original
from tasks.imports.releasing import register
from tasks.imports.tables import read_rows
from tasks.proving import prove_parity
from tasks.sections import EvaluateSection

GOLDEN_ROWS = 8
PARITY_ROWS, PARITY_NUMBERS = 512, 2_000_000  # the job is JSON: fewer rows where one is large
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What the user asked for. `data`: labelled rows to judge by, or empty; `sample`: rows to try it on; `promote`: without a judgement."""

    name: str
    file: Path
    sample: str
    data: str
    storage: str
    alias: str = "champion"
    promote: bool = False
    asked: Asked = field(default_factory=Asked)
    said: Said = field(default_factory=Said)
    minimum: float | None = None
    margin: float | None = None
    tolerance: float = 1e-4


def import_model(wish: Wish, tell: Tell) -> dict[str, Any]:
    """Import it, telling each step as it is done; the summary that `--json` prints. A failure anywhere leaves the alias where it is."""
    kind, file = tell_kind(wish.file)
    rows = read_rows(wish.sample)
    if wish.asked.target and not wish.data:
        rows.column(wish.asked.target)
    original = open_original(kind, file, rows, wish.asked)
    size = f"{original.facts['parameters']:,} parameters"
    tell(f"opened {file.name}: {kind}, {size}; it answers {rows.told} of {rows.url}")
    answers = understand(original, wish.said, rows)
    imported = put_artifact(open_store(wish.storage), original, answers, wish.asked.target)
    parity = _parity(wish, imported)
    tell(f"parity holds: {parity['rows']} rows, at most {parity['max_difference']:.2g} from the original")
    serving = what_serves(open_registry(wish.storage), wish.name, wish.alias, imported)
    judged = _judged(wish, imported, serving, tell) if wish.data else None
    version, serves = _released(wish, imported, serving, judged, _origin(file, kind, original), tell)
    return _summary(wish, kind, imported, parity, judged, version, serves)


def _released(
    wish: Wish, imported: Imported, serving: Serving, judged: Judged | None, origin: dict[str, Any], tell: Tell
) -> tuple[int | None, bool]:
    """The version, and whether the alias points at it. What is rejected becomes none; held, or not judged, it is there to be promoted by hand."""
    decision = judged.verdict.decision if judged else ("promote" if wish.promote else "hold")
    if decision == "reject":
        return None, False
    registry = open_registry(wish.storage)
    metrics, asked = judged.metrics if judged else {}, golden(imported, GOLDEN_ROWS)
    version = register(open_store(wish.storage), registry, wish.name, imported, asked, metrics, origin, wish.tolerance)
    tell(f"registered and signed: {wish.name} version {version}; the server answered with it")
    if decision == "promote":
        expected = serving.version.number if serving.version else None
        registry.promote(wish.name, version, wish.alias, "imported", expected, automatic=judged is not None)
    return version, decision == "promote" or serving.same


def _parity(wish: Wish, imported: Imported) -> dict[str, Any]:
    """What the comparison found; CorruptArtifact where what would serve does not answer as the original does."""
    wanted = golden(imported, _parity_rows(imported))
    try:
        return prove_parity(open_store(wish.storage), imported.manifest, wanted, wish.tolerance)
    except ProcessFailed as error:
        found = str(error).partition("parity: ")[2].partition("; this machine")[0].partition(". Log: ")[0] or str(error)
        raise CorruptArtifact(
            f"{wish.file}: served, it would not answer as the original does: {found}. Nothing was released; "
            "if such a difference does no harm, allow it with --tolerance"
        ) from None


def _parity_rows(imported: Imported) -> int:
    return max(1, min(PARITY_ROWS, PARITY_NUMBERS // int(np.prod(imported.transforms.input_shape))))


def _judged(wish: Wish, imported: Imported, serving: Serving, tell: Tell) -> Judged:
    rows = read_rows(wish.data)
    y_N = truth(imported.answers, rows, wish.asked.target)
    section = _section(wish, imported.answers, y_N)
    store, registry = open_store(wish.storage), open_registry(wish.storage)
    judged = judge(store, registry, section, imported, rows, y_N, wish.name, serving)
    tell(f"judged by {rows.told}: {judged.verdict.decision}")
    return judged


def _section(wish: Wish, answers: Answers, y_N: np.ndarray) -> EvaluateSection:
    """What decides: accuracy or RMSE, at least as good as always the same answer, by a margin that so many rows can show."""
    if answers.task == REGRESSION:
        minimum = sizing.just_below(float(y_N.std()) * answers.unit)
        given: dict[str, Any] = {"metric": "rmse", "margin": sizing.rmse_margin(len(y_N)), "minimum": minimum}
    else:
        share = float(np.bincount(y_N).max()) / len(y_N)
        minimum = sizing.just_above(share) if share < 1 else None
        given = {"metric": "accuracy", "margin": sizing.accuracy_margin(len(y_N)), "minimum": minimum}
    own = {"margin": wish.margin, "minimum": wish.minimum}
    return EvaluateSection.model_validate(given | {key: value for key, value in own.items() if value is not None})


def _origin(file: Path, kind: str, original: Original) -> dict[str, Any]:
    """Where the model comes from: nothing of this machine, so that the same import gives the same bytes."""
    with file.open("rb") as content:
        digest = sha256(content.read()).hexdigest()
    return {
        "format": kind,
        "file_sha256": digest,
        "producer": original.facts["producer"],
        "tools": original.facts.get("tools", {}),
    }


def _summary(
    wish: Wish,
    kind: str,
    imported: Imported,
    parity: dict[str, Any],
    judged: Judged | None,
    version: int | None,
    serves: bool,
) -> dict[str, Any]:
    original, answers = imported.original, imported.answers
    verdict = {"decision": judged.verdict.decision, "reasons": list(judged.verdict.reasons)} if judged else None
    return {
        "model": wish.name,
        "file": str(wish.file),
        "format": kind,
        "inspected": original.facts,
        "task": answers.task,
        "outputs": answers.meaning,
        "classes": list(answers.classes),
        "why": answers.why,
        "columns": list(imported.transforms.input.columns),
        "artifact_bytes": imported.manifest.files["model.onnx"].size,
        "parity": parity,
        "rows": judged.rows if judged else 0,
        "metrics": judged.metrics if judged else {},
        "verdict": verdict,
        "release": {
            "model": wish.name,
            "version": version,
            "alias": wish.alias if serves else None,
            "digest": imported.artifact.digest,
        },
    }
