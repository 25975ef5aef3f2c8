"""Batch prediction from a bucket into a bucket, with the store in one: the same rows, nothing done twice, nothing left behind."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batches import rows_of
from handmade import iris_files, release
from stores import moto_server, s3_store

from flows.batch import predict_batch
from storage.errors import ConfigError
from storage.objects import ObjectStore, open_store
from storage.registry import open_registry
from tasks.batch.on_cluster import predict_on_cluster
from tasks.sections import BatchSection, ClusterSection

__all__ = ["moto_server", "s3_store"]  # pytest finds them here

GOLDEN = b'{"items": [], "predictions": [], "outputs": []}'


def put_rows(store: ObjectStore, name: str, count: int) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows_of(count)), buffer)
    store.put(name, buffer.getvalue())


def predicted(store: ObjectStore, base: str, output: str) -> dict[str, Any]:
    batch = BatchSection(sources=(f"{base}/rows/*.parquet",), output=output, part_rows=50)
    return predict_batch("iris", "champion", batch, ClusterSection(), store.url, predict_on_cluster)


def test_rows_from_a_bucket_are_predicted_into_a_bucket(
    s3_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    base = s3_store.url.rpartition("/")[0] + "/batch"
    rows, out = open_store(f"{base}/rows"), open_store(f"{base}/out")
    registry = open_registry(s3_store.url)
    release(s3_store, registry, "iris", iris_files(), **{"golden.json": GOLDEN})
    registry.promote("iris", 1)
    put_rows(rows, "a.parquet", 100)
    put_rows(rows, "b.parquet", 20)
    assert predicted(s3_store, base, f"{base}/out")["parts_computed"] == 3
    names = [
        "_summary.json",
        "a.parquet-000000001.parquet",
        "a.parquet-000000051.parquet",
        "b.parquet-000000001.parquet",
    ]
    assert [key for key, _ in out.list("")] == names
    found = [row for name in names[1:] for row in pq.read_table(pa.BufferReader(out.get(name))).to_pylist()]
    assert len(found) == 120
    written = out.head(names[1])
    rows.delete("b.parquet")
    out.delete(names[2])
    assert predicted(s3_store, base, f"{base}/out")["parts_computed"] == 0
    assert [key for key, _ in out.list("")] == names[:3]
    assert out.head(names[1]) == written  # what is whole is not written again
    with pytest.raises(ConfigError, match=r"the source a\.parquet lies in it"):
        predicted(s3_store, base, f"{base}/rows")
