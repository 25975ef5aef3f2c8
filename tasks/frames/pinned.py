"""Whether transforms that were fitted before fit the rows of another data set."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from storage.errors import CorruptArtifact, NotFound, SchemaError
from storage.manifests import Manifest, read_manifest
from storage.objects import ObjectStore
from tasks.frames.assembling import read_statistics
from tasks.frames.schema import Column
from tasks.frames.stored_rows import columns_of, open_dataset
from tasks.stored import read_files
from tasks.transforms import Transforms

NEXT = "pin others in transforms.pin, or leave it empty to fit them anew"


def check_pinned(store: ObjectStore, digest: str, dataset_digest: str) -> None:
    """SchemaError where the transforms of that digest cannot be applied to the data set's rows; NotFound, CorruptArtifact."""
    dataset = open_dataset(store, dataset_digest)
    fitted = _fitted(store, digest)
    difference = next(_differences(store, fitted, dataset), None)
    if difference:
        raise SchemaError(f"transforms {digest[:12]} are pinned, and {difference}; {NEXT}")


def _fitted(store: ObjectStore, digest: str) -> dict[str, Any]:
    try:
        manifest = read_manifest(store, digest)
    except NotFound:
        raise NotFound(f"transforms.pin: found no transforms {digest} in store {store.url}; {NEXT}") from None
    if manifest.kind != "transforms":
        raise CorruptArtifact(f"transforms.pin: {digest} is of kind {manifest.kind!r}, wanted 'transforms'; {NEXT}")
    files = read_files(store, manifest)
    Transforms.load(files)
    return json.loads(files["transforms.json"])


def _differences(store: ObjectStore, fitted: Mapping[str, Any], dataset: Manifest) -> Iterator[str]:
    """What keeps the transforms from these rows, in words."""
    for field in ("kind", "task"):
        if fitted[field] != dataset.meta[field]:
            yield f"are for {field} {fitted[field]}, but data.{field} is {dataset.meta[field]}"
    columns = columns_of(dataset)
    features = columns[: len(dataset.meta["features"])]
    wanted, found = _wanted(fitted["input"]), [_described(column) for column in features]
    if [entry["name"] for entry in wanted] != [entry["name"] for entry in found]:
        yield f"want the columns {_names(wanted)}, but the data have {_names(found)}"
    for one, other in zip(wanted, found, strict=False):
        differing = next((field for field in one if field in other and one[field] != other[field]), None)
        if differing:
            yield f"want {differing} {one[differing]} in column {one['name']!r}, but the data have {other[differing]}"
    if fitted.get("cleaning", []) != dataset.meta["cleaning"]:
        yield "were fitted on rows that other passes had changed (data.passes)"
    target = fitted["target"]["name"]
    if fitted["task"] == "language_model":
        return
    if target != columns[-1].name:
        yield f"predict {target!r}, but data.target is {columns[-1].name!r}"
    unknown = sorted(
        set(read_statistics(store, dataset)[columns[-1].name].counts) - {*fitted["target"].get("classes", ())}
    )
    if fitted["task"] == "classification" and unknown:
        yield f"know no class {unknown[0]!r}, which the data have in {target!r}"


def _wanted(fitted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each column the name, and what it must have."""
    if "columns" in fitted:
        return [{"name": one["name"], "type": _plain(one["type"])} for one in fitted["columns"]]
    heard = fitted.get("spectrogram", {})
    told = {"shape": fitted.get("shape"), "rate": heard.get("rate"), "samples": heard.get("samples")}
    return [{"name": fitted["name"], **{field: value for field, value in told.items() if value is not None}}]


def _described(column: Column) -> dict[str, Any]:
    shape = list(column.shape or ())
    samples = {"samples": shape[0], "rate": column.rate} if column.type == "audio" else {}
    return {"name": column.name, "type": _plain(column.type), "shape": shape, **samples}


def _plain(kind: str) -> str:
    return "number" if kind == "integer" else kind  # both are read as numbers


def _names(columns: list[dict[str, Any]]) -> str:
    return ", ".join(column["name"] for column in columns)
