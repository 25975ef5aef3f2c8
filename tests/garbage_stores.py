"""Stores with runs in them and with garbage, for tests of its collection."""

import os
import time

from storage.blobs import Blob, damage_key, put_blob
from storage.manifests import manifest_key, put_files, read_manifest
from storage.objects import ObjectStore
from storage.records import StepRecord, put_record, record_key
from storage.refs import ModelRef
from storage.runs import put_run

HOUR = 3600.0
RUNS = ("20260129-000000-00000001", "20260130-000000-00000002", "20260131-000000-00000003")


def keys(store: ObjectStore, folder: str = "") -> set[str]:
    return {key for key, _ in store.list(folder)}


def one_run(store: ObjectStore, number: int, made: str = "") -> tuple[str, str, str]:
    """A run of one step whose model has two blobs: the run's id, the step's key, the model's digest."""
    run_id, key = RUNS[number], f"{number + 1}" * 64
    parts = put_blob(store, f"parts {number} {made}".encode(), ".json")
    digest = put_files(store, "model", {"weights.bin": f"weights {number} {made}".encode(), "same.json": b"{}"}, {})
    put_record(store, StepRecord(key, "train", ModelRef(store.url, digest), 1.0, 2.0, run_id, parts))
    report, source = put_blob(store, f"report {number}".encode(), ".html"), put_blob(store, b"source", ".tar.zst")
    steps = [{"name": "train", "state": "computed", "key": key, "output": digest, "made_by": run_id}]
    put_run(
        store,
        run_id,
        {"status": "finished", "steps": steps, "report": vars(report), "source": vars(source), "config": {}},
    )
    return run_id, key, digest


def planted(store: ObjectStore) -> set[str]:
    """One object of each kind that nothing names."""
    blob = put_blob(store, b"nobody's", ".bin")
    digest = put_files(store, "model", {"a.bin": b"nobody's either"}, {})
    put_record(store, StepRecord("f" * 64, "train", ModelRef(store.url, "e" * 64), 1.0, 2.0, "run"))
    for key in ("probes/0", damage_key(Blob("d" * 64, 1))):
        store.put(key, b"{}")
    other = next(iter(read_manifest(store, digest).files.values()))
    return {
        blob.key, other.key, manifest_key(digest), record_key("f" * 64, 1), "probes/0", damage_key(Blob("d" * 64, 1)),
    }  # fmt: skip


def make_old(store: ObjectStore, some: "list[str] | set[str]") -> None:
    then = time.time() - 2 * HOUR
    for key in some:
        path = store.local_path(key)
        assert path
        os.utime(path, (then, then))
