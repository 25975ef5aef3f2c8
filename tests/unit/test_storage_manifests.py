"""Manifests: equal content has an equal digest everywhere, and a changed one is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.blobs import Blob
from storage.errors import ConfigError, CorruptArtifact, NotFound, SchemaError
from storage.manifests import (
    Manifest,
    copy_files,
    fetch_files,
    manifest_key,
    put_blobs,
    put_files,
    put_manifest,
    read_manifest,
)
from storage.objects import ObjectStore, open_store

FILES: dict[str, bytes | Path] = {
    "model.json": b"{}",
    "transforms/tokenizer.json": b"[]",
    "weights.safetensors": b"1234",
}


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


def test_files_come_back_under_their_names(store: ObjectStore):
    manifest = read_manifest(store, put_files(store, "model", FILES, {"rows": 3}))
    assert {name: path.read_bytes() for name, path in fetch_files(store, manifest).items()} == FILES
    assert [path.suffix for path in fetch_files(store, manifest, ["weights.safetensors"]).values()] == [".safetensors"]
    assert (manifest.kind, manifest.meta) == ("model", {"rows": 3})


def test_the_digest_depends_on_the_content_only(store: ObjectStore, tmp_path: Path):
    other = open_store(str(tmp_path / "other"))
    backwards = dict(reversed(FILES.items()))
    assert put_files(store, "model", FILES, {"a": [1], "b": 2}) == put_files(
        other, "model", backwards, {"b": 2, "a": (1,)}
    )
    assert put_files(store, "model", FILES, {"a": 1}) != put_files(store, "model", FILES, {"a": 1.0})


def test_the_digest_of_a_known_manifest_never_changes(store: ObjectStore):
    manifest = Manifest("model", {"a.bin": Blob("0" * 64, 7, ".bin")}, {"é": [None, True, 0.1, "x"]})
    digest = put_manifest(store, manifest)
    content = f'{{"files":{{"a.bin":["{"0" * 64}",7,".bin"]}},"kind":"model","meta":{{"é":[null,true,0.1,"x"]}}}}'
    assert store.get(manifest_key(digest)).decode() == content
    assert digest == "d1a0bb868167f543e27dec821e0a7eef2863cce1f1fd2ef5eff89b63d44ed35f"


def test_a_changed_manifest_is_refused(store: ObjectStore):
    digest = put_files(store, "model", FILES, {"accuracy": 0.91})
    store.put(manifest_key(digest), store.get(manifest_key(digest)).replace(b"0.91", b"0.99"))
    with pytest.raises(CorruptArtifact, match=rf"manifests/{digest}\.json .* expected {digest}; run again"):
        read_manifest(store, digest)


def test_storing_it_again_repairs_a_truncated_manifest(store: ObjectStore):
    digest = put_files(store, "model", FILES, {})
    store.put(manifest_key(digest), b"{")
    assert put_files(store, "model", FILES, {}) == digest
    assert read_manifest(store, digest).kind == "model"


def test_a_file_that_is_not_listed_is_named_with_those_that_are(store: ObjectStore):
    manifest = Manifest("model", put_blobs(store, FILES))
    with pytest.raises(NotFound, match=r"'model\.onnx' is not in this model; it holds model\.json, "):
        fetch_files(store, manifest, ["model.onnx"])


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a//b", "a\\b", "", "a/../../b"])
def test_a_file_name_that_could_leave_a_folder_is_refused(name: str):
    with pytest.raises(ConfigError, match="wanted a relative name"):
        Manifest("model", {name: Blob("0" * 64, 1)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, np.int64(3), {3}, Path("x"), b"x"])
def test_meta_that_is_not_plain_json_is_refused(store: ObjectStore, value: Any):
    with pytest.raises(SchemaError, match=r"kind model: found .*; wanted plain JSON"):
        put_files(store, "model", {}, {"deep": [value]})


def test_a_copy_in_another_store_is_whole_and_has_the_same_digest(store: ObjectStore, tmp_path: Path):
    digest, other = put_files(store, "model", FILES, {"accuracy": 0.9}), open_store(str(tmp_path / "other"))
    copy_files(store, digest, other)
    assert read_manifest(other, digest) == read_manifest(store, digest)
    assert fetch_files(other, read_manifest(other, digest), FILES).keys() == FILES.keys()
