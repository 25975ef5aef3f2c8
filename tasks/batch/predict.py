"""The work of a batch prediction: plan the parts, predict those that are not known yet, and put the manifest of them all."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from storage.errors import ConfigError, SchemaError
from storage.manifests import Manifest, put_manifest
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.batch.parts import ORIGIN, PREDICTION, PROBABILITY, Wanted, load_predictor, predict_part
from tasks.batch.planning import Part, plan_parts, source_section
from tasks.batch.spreading import crew
from tasks.frames.shelved import Report, Work, complete, make_work
from tasks.frames.sources import File
from tasks.inference.predictor import Predictor
from tasks.sections import BatchSection
from tasks.sections.batch import ALL
from tasks.transforms.items import did_you_mean, show

PLAIN = re.compile(r"(?![._])[A-Za-z0-9._-]{1,100}(/(?![._])[A-Za-z0-9._-]{1,100})*")


if TYPE_CHECKING:  # Dask is loaded only where a cluster is opened
    from tasks.frames.crews import OpenClient


def predict_files(
    batch: BatchSection,
    located: Sequence[Sequence[File]],
    artifact: str,
    store: ObjectStore,
    open_client: "OpenClient",
    report: Report,
    alone: bool = False,
) -> str:
    """The digest of the predictions of all rows of `located` by the model `artifact`: the same on every cluster.

    `alone`: what is done soon is done in this process, and no cluster opened for it. SchemaError where a file lacks a column; ConfigError for
    what cannot be kept; WorkerLost where the cluster is gone.
    """
    predictor = load_predictor(store.url, artifact)
    kind = predictor.transforms.kind
    section = source_section(batch, kind)
    if batch.probabilities and not predictor.classes:
        raise ConfigError("probabilities: the model predicts a number, and no classes; leave them out")
    with crew(open_client, alone) as spread:
        parts = plan_parts(section, kind, partial(_check_columns, batch, predictor), located, store, spread, report)
        work = predicting(batch, artifact, kind, store)
        results = complete(work, parts, spread, lambda event: report({"stage": "predict", **event}))
    return put_manifest(store, _manifest(batch, artifact, parts, results))


def predicting(batch: BatchSection, artifact: str, kind: str, store: ObjectStore) -> Work:
    """The parts of a batch prediction."""
    section = source_section(batch, kind)
    wanted = Wanted(artifact, batch.keep, batch.probabilities)
    shared = [artifact, list(batch.keep), batch.probabilities, section.csv.key_fields()]
    compute, entries = partial(predict_part, wanted, section), ["tasks.batch.parts:predict_part"]
    return make_work("predict", compute, entries, shared, store.url)


def _check_columns(batch: BatchSection, predictor: Predictor, file: str, found: Sequence[str]) -> None:
    """SchemaError where a file lacks a column, has one twice, or has one to be kept by the name of one that is written."""
    everything = batch.keep == (ALL,)
    wanted = [*predictor.transforms.input.columns, *(found if everything else batch.keep)]
    missing = next((name for name in wanted if name not in found), None)
    if missing is not None:
        raise SchemaError(
            f"{file}: column {missing!r} is missing; found {show(list(found), 300)}{did_you_mean(missing, found)}"
        )
    repeated = next((name for name in wanted if found.count(name) > 1), None)
    if repeated is not None:
        raise SchemaError(f"{file}: found the column {repeated!r} twice, wanted it once; rename one of them")
    ours = {*ORIGIN, PREDICTION, *(PROBABILITY + name for name in predictor.classes if batch.probabilities)}
    taken = next((name for name in (found if everything else batch.keep) if name in ours), None)
    if taken is not None:
        raise SchemaError(
            f"{file}: the column {taken!r} cannot be kept, as one of that name is written; rename it, or keep others"
        )


def _manifest(batch: BatchSection, artifact: str, parts: Sequence[Part], results: Sequence[ShardResult]) -> Manifest:
    """Predictions and quarantine by names that say where their rows begin. SchemaError where the rows do not add up."""
    rules: Counter[str] = Counter()
    files, told = {}, []
    for part, result in zip(parts, results, strict=True):
        name, facts = _name(part), result.facts
        files |= {f"{kind}/{name}": blob for kind, blob in result.blobs.items()}
        rules.update(facts["rules"])
        place = {"file": part.entries[0].name, "first_row": part.piece.start + 1}
        told.append({"name": name, **place, "rows_in": facts["rows_in"], "rows_out": facts["rows_out"]})
    meta: dict[str, Any] = {
        "artifact": artifact,
        "rows_in": sum(part["rows_in"] for part in told),
        "rows_out": sum(part["rows_out"] for part in told),
        "rules": dict(sorted(rules.items())),
        "examples": {rule: said for result in reversed(results) for rule, said in result.facts["examples"].items()},
        "parts": told,
    }
    if meta["rows_in"] != meta["rows_out"] + sum(rules.values()):
        raise SchemaError(
            f"found {meta['rows_in']} rows in, but {meta['rows_out']} predicted and {sum(rules.values())} refused"
        )
    return Manifest("predictions", files, meta)


def _name(part: Part) -> str:
    """`FILE-000000001.parquet` by the first row; a file whose name would not do, or be hidden, has a hash in its place."""
    name = part.entries[0].name
    if not PLAIN.fullmatch(name) or len(name) > 200:
        name = (
            f"{re.sub('[^A-Za-z0-9-]+', '-', name)[-60:].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        )
    return f"{name}-{part.piece.start + 1:09d}.parquet"
