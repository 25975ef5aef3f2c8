"""Stage encode under pinned transforms: one new shard is encoded, and the features are those of encoding all."""

import io
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from small_files import afresh, again, content, inside, known, prepared_in

from infra.clusters import open_cluster
from storage.blobs import read_blob
from storage.manifests import put_files, read_manifest
from storage.objects import ObjectStore, open_store
from tasks.arrays import fetch_arrays
from tasks.frames import encoding
from tasks.frames.encoding import encode, encode_shard
from tasks.frames.fitting import fit_transforms
from tasks.frames.gathering import spread as spread_over
from tasks.frames.shelved import here
from tasks.frames.stored_rows import columns_of, stored_shards
from tasks.sections import ClusterSection, DataSection, TransformsSection
from tasks.stored import read_files

FILES = 300


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    os.environ["MILLRACE_ROOT"] = str(tmp_path_factory.mktemp("root"))
    with open_cluster(ClusterSection(workers=2, memory_gib=1.0)) as client:
        yield client
    del os.environ["MILLRACE_ROOT"]


@pytest.fixture(scope="module")
def prepared(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSection, ObjectStore]:
    """So many files, prepared once."""
    return prepared_in(tmp_path_factory.mktemp("prepared"), FILES, client)


@pytest.fixture
def fitted(prepared: tuple[DataSection, ObjectStore]) -> str:
    """The digest of transforms that stay as they are, whatever rows come."""
    data, store = prepared
    return put_files(store, "transforms", fit_transforms(TransformsSection(), store, again(data, store)[0]), {})


def encoded(store: ObjectStore, dataset: str, transforms: str) -> tuple[str, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    return encode(store, dataset, transforms, here, events.append), events


def test_under_pinned_transforms_one_shard_is_encoded_and_the_features_are_those_of_encoding_all(
    prepared: tuple[DataSection, ObjectStore], fitted: str, client: Client, tmp_path: Path
):
    data, store = prepared
    encoded(store, again(data, store)[0], fitted)
    inside(data, FILES).write_text(content(FILES, 30))
    try:
        dataset, _ = again(data, store)
        features, events = encoded(store, dataset, fitted)
        assert known(events) == "300 of 301 shards known"
        assert afresh(data, tmp_path, client) == dataset
        other = open_store(str(tmp_path / "afresh"))
        put_files(other, "transforms", read_files(store, read_manifest(store, fitted)), {})
        spread = partial(spread_over, client)
        assert encode(other, dataset, fitted, spread, lambda event: None) == features
    finally:
        inside(data, FILES).unlink()


def test_other_transforms_encode_every_shard(prepared: tuple[DataSection, ObjectStore], fitted: str):
    data, store = prepared
    dataset, _ = again(data, store)
    encoded(store, dataset, fitted)
    other = fit_transforms(TransformsSection(scaling="none"), store, dataset)
    assert known(encoded(store, dataset, put_files(store, "transforms", other, {}))[1]) == "0 of 300 shards known"


def test_large_shards_keep_their_splits_apart_and_give_the_same_arrays(
    prepared: tuple[DataSection, ObjectStore], fitted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    data, store = prepared
    dataset, _ = again(data, store)
    whole = fetch_arrays(store, encoded(store, dataset, fitted)[0])
    shard = stored_shards(read_manifest(store, dataset))[0]
    columns = columns_of(read_manifest(store, dataset))
    together = encode_shard(fitted, columns, store, shard)
    monkeypatch.setattr(encoding, "TOGETHER_BYTES", 0)
    apart = encode_shard(fitted, columns, store, shard)
    assert set(together.blobs) == {"x", "y"}
    assert set(apart.blobs) == {f"{array}-{split}" for array in "xy" for split in shard.splits if shard.splits[split]}
    for split, rows in shard.splits.items():
        for array in "xy":
            if rows:
                part = np.load(io.BytesIO(read_blob(store, apart.blobs[f"{array}-{split}"])))
                assert (part == np.load(whole[f"{split}/{array}.npy"])[:rows]).all()


def test_a_whole_array_that_was_changed_is_put_together_again(prepared: tuple[DataSection, ObjectStore], fitted: str):
    data, store = prepared
    features, _ = encoded(store, again(data, store)[0], fitted)
    path = fetch_arrays(store, features)["test/x.npy"]
    before, status = path.read_bytes(), path.stat()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fetch_arrays(store, features, ["test"])["test/x.npy"].read_bytes() == before
