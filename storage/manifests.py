"""Manifests: immutable lists of named blobs with facts about them. A manifest is written after its blobs; its digest is its name."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from storage.blobs import Blob, check_digest, fetch_blob, put_blob, read_blob
from storage.errors import ConfigError, CorruptArtifact, NotFound, SchemaError
from storage.metering import carried
from storage.objects import ObjectStore
from storage.overwriting import overwrite

_NAME = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_KIND = re.compile(r"[a-z][a-z-]{0,31}")
_PARALLEL = 8


@dataclass(frozen=True)
class Manifest:
    """`kind`: dataset, model, …; `files`: blobs by relative name; `meta`: plain JSON values (no NaN, no time, path or host)."""

    kind: str
    files: Mapping[str, Blob]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise ConfigError(f"manifest kind {self.kind!r}: wanted a short word in lower case")
        for name in self.files:
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"file name {name!r} in a manifest of kind {self.kind}: wanted a relative name of letters, digits, "
                    "'.', '_' and '-' between slashes, without '..'"
                )


def manifest_key(digest: str) -> str:
    """Where the manifest of that digest lies."""
    return f"manifests/{check_digest(digest)}.json"


def put_manifest(store: ObjectStore, manifest: Manifest) -> str:
    """Store a manifest whose blobs are stored already; its digest. The same content gives the same digest everywhere.

    It is written also where it is there already: so it is young, and whole.
    """
    content = to_bytes(manifest)
    digest = hashlib.sha256(content).hexdigest()
    overwrite(store, manifest_key(digest), content)
    return digest


def read_manifest(store: ObjectStore, digest: str) -> Manifest:
    """The manifest of that digest; `CorruptArtifact` if its bytes do not match it, `NotFound`."""
    key = manifest_key(digest)
    content = store.get(key)
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise CorruptArtifact(
            f"manifest {key} in store {store.url}: found SHA-256 {found}, expected {digest}; "
            "run again: the step that made it is recomputed"
        )
    return from_bytes(content)


def put_blobs(store: ObjectStore, files: Mapping[str, Path | bytes]) -> dict[str, Blob]:
    """Store files by name, several at a time; each blob keeps its name's suffix."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        blobs = pool.map(carried(lambda name: put_blob(store, files[name], PurePosixPath(name).suffix)), files)
        return dict(zip(files, blobs, strict=True))


def put_files(store: ObjectStore, kind: str, files: Mapping[str, Path | bytes], meta: Mapping[str, Any]) -> str:
    """Store files, then the manifest that lists them; its digest."""
    return put_manifest(store, Manifest(kind, put_blobs(store, files), meta))


def fetch_files(store: ObjectStore, manifest: Manifest, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Verified local files, not to be written to, by name: all, or those in `names`; `NotFound` for a name not listed."""
    wanted = list(manifest.files if names is None else names)
    for name in wanted:
        if name not in manifest.files:
            raise NotFound(
                f"file {name!r} is not in this {manifest.kind}; it holds {', '.join(sorted(manifest.files))}"
            )
    with ThreadPoolExecutor(_PARALLEL) as pool:
        paths = pool.map(carried(lambda name: fetch_blob(store, manifest.files[name])), wanted)
        return dict(zip(wanted, paths, strict=True))


def to_bytes(manifest: Manifest) -> bytes:
    """A manifest as canonical JSON; `SchemaError` if its meta is not plain JSON."""
    files = {name: [blob.digest, blob.size, blob.suffix] for name, blob in manifest.files.items()}
    value = {"kind": manifest.kind, "files": files, "meta": manifest.meta}
    try:
        return canonical_json(value)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"meta of a manifest of kind {manifest.kind}: found {error}; wanted plain JSON values: "
            "text keys, no NaN or infinity, numbers of Python's own types"
        ) from error


def from_bytes(content: bytes) -> Manifest:
    """The manifest that `to_bytes` wrote."""
    value = json.loads(content)
    return Manifest(value["kind"], {name: Blob(*blob) for name, blob in value["files"].items()}, value["meta"])


def canonical_json(value: Any) -> bytes:
    """`value` as JSON with sorted keys and no spaces: equal values give equal bytes. `TypeError`, `ValueError`."""
    _check_keys(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)
    return text.encode()


def _check_keys(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} of type {type(key).__name__}")
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"value {value!r} of type {type(value).__name__}")


def copy_files(store: ObjectStore, digest: str, to: ObjectStore) -> None:
    """Copy a manifest, and the files that it lists, into another store. NotFound or CorruptArtifact where they are not whole."""
    manifest = read_manifest(store, digest)
    for blob in manifest.files.values():
        put_blob(to, read_blob(store, blob), blob.suffix)
    put_manifest(to, manifest)
