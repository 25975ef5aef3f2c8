"""The files of an imported model, as those of our own: an artifact that can be served, and what the sample says of its rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from storage.manifests import Manifest, put_blobs, put_files, put_manifest
from storage.objects import ObjectStore
from storage.refs import ArtifactRef
from tasks.frames.profile import build_profile
from tasks.frames.schema import Column
from tasks.frames.statistics import describe
from tasks.graphs.adapting import adapt
from tasks.graphs.canonical import to_bytes
from tasks.imports.answers import REGRESSION, Answers
from tasks.imports.originals import Original
from tasks.transforms.transforms import VERSION, Transforms

FAMILY, RECIPE = "imported", {"name": "imported", "passes": []}
OUTPUT = "prediction"  # what the target is called where no column bears its name


@dataclass(frozen=True)
class Imported:
    """A model that was opened and understood, and the artifact made of it. `transforms`: the artifact's, loaded; `sample`: the digest
    of what its release says of its rows."""

    original: Original
    answers: Answers
    artifact: ArtifactRef
    manifest: Manifest
    transforms: Transforms
    sample: str
    profile: Mapping[str, Any]


def put_artifact(store: ObjectStore, original: Original, answers: Answers, target: str) -> Imported:
    """Store the artifact. The same model, columns and classes give the same digest. `target`: the answers' name."""
    taken, name = original.taken, target or OUTPUT
    fitted = {
        "version": VERSION,
        "kind": taken.kind,
        "task": answers.task,
        "input": taken.fields,
        "target": _target(answers, name),
        "example": None,
    }
    transforms = Transforms.load({"transforms.json": _dump(fitted)})
    first = {column: values[:1] for column, values in _plain(original.columns).items()}
    fitted["example"] = transforms.items(first)[0]
    graph = adapt(original.graph, taken.feeds, answers.ending, transforms.input_shape)
    description = {
        "family": FAMILY,
        "task": answers.task,
        "classes": list(answers.classes),
        "input": {"shape": list(transforms.input_shape), "dtype": transforms.input_dtype},
        "outputs": len(answers.classes) or 1,
        "output": answers.meaning,
    }
    files = {
        "model.onnx": to_bytes(graph),
        "model.json": _dump(description),
        "recipe.json": _dump(RECIPE),
        "transforms/transforms.json": _dump(fitted),
    }
    apart = put_files(
        store, "transforms", {"transforms.json": files["transforms/transforms.json"]}, {"kind": taken.kind}
    )
    meta = {
        "family": FAMILY,
        "recipe": RECIPE["name"],
        "task": answers.task,
        "classes": list(answers.classes),
        "transforms": apart,
        "output": answers.meaning,
        "parameters": original.facts["parameters"],
    }
    manifest = Manifest("artifact", put_blobs(store, files), meta)
    sample = _sample(original, answers, transforms, name)
    artifact = ArtifactRef(store.url, put_manifest(store, manifest))
    return Imported(
        original, answers, artifact, manifest, transforms, put_manifest(store, sample), sample.meta["profile"]
    )


def golden(imported: Imported, count: int) -> dict[str, Any]:
    """The first `count` rows of the sample as a client would send them, with the original's own answers."""
    columns = _plain(imported.original.columns)
    items = imported.transforms.items({column: values[:count] for column, values in columns.items()})
    outputs = imported.answers.outputs[:count].astype(np.float32)
    return {"items": items, "predictions": imported.transforms.predictions(outputs), "outputs": outputs.tolist()}


def _plain(columns: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Numbers as Python's own; an image stays an array."""
    return {
        name: list(values) if np.ndim(values) > 1 else np.asarray(values).tolist() for name, values in columns.items()
    }


def _target(answers: Answers, name: str) -> dict[str, Any]:
    if answers.task == REGRESSION:
        return {"name": name, "mean": 0.0, "std": answers.unit}
    return {"name": name, "classes": list(answers.classes)}


def _sample(original: Original, answers: Answers, transforms: Transforms, name: str) -> Manifest:
    """What a data set's manifest says of its columns and rows, of the sample and the model's answers to it: a later run compares by it."""
    columns = [_column(original, field) for field in original.taken.fields.get("columns", [original.taken.fields])]
    features = [column.name for column in columns]
    predicted = pa.chunked_array([transforms.predictions(answers.outputs)])
    columns.append(Column(name, "number" if answers.task == REGRESSION else "category", nullable=False))
    values = {column: _arrow(cells) for column, cells in original.columns.items()} | {name: predicted}
    profile = build_profile(columns, {column.name: describe(column, values[column.name]) for column in columns})
    meta = {
        "kind": original.taken.kind,
        "task": answers.task,
        "target": name,
        "features": features,
        "schema": [column.to_json() for column in columns],
        "rows": len(predicted),
        "profile": profile,
    }
    return Manifest("sample", {}, meta)


def _column(original: Original, field: Mapping[str, Any]) -> Column:
    if original.taken.kind == "image":
        return Column(
            field["name"], "image", False, maximum=field["maximum"], shape=tuple(field["shape"]), dtype="float64"
        )
    return Column(field["name"], field["type"], nullable=False)


def _arrow(cells: Any) -> pa.ChunkedArray:
    if np.ndim(cells) == 2:
        return pa.chunked_array(
            [pa.FixedSizeListArray.from_arrays(np.ravel(cells).astype(np.float64), np.shape(cells)[1])]
        )
    return pa.chunked_array([pa.array(cells)])


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1).encode()
