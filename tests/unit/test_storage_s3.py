"""The object store on S3: moto's server for what works, a look-alike for what servers do wrong."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from commands import free_port
from fault_proxy import fault_proxy
from lookalike_s3 import LookalikeS3, lookalike_s3
from stores import moto_server

from flows.cli import main
from storage.blobs import fetch_blob, put_blob, read_blob
from storage.errors import ConfigError, CorruptArtifact, NotFound, StorageSilent, StorageUnavailable
from storage.manifests import put_files
from storage.objects import ObjectStore, open_store
from storage.records import StepRecord, find_record, put_record
from storage.refs import ModelRef
from storage.registry import open_registry

__all__ = ["moto_server"]


def _environment(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "hushhush",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(moto_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    _environment(monkeypatch, moto_server)
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    boto3.client("s3").create_bucket(Bucket="bucket")
    return open_store(f"s3://bucket/{tmp_path.name}")


@pytest.fixture
def lookalike(monkeypatch: pytest.MonkeyPatch) -> Iterator[LookalikeS3]:
    with lookalike_s3() as server:
        _environment(monkeypatch, server.url)
        yield server


def test_what_is_put_is_read_back_listed_and_deleted(store: ObjectStore):
    store.put("b/two.bin", b"22")
    store.put("a.bin", b"1")
    assert store.get("b/two.bin") == b"22"
    assert list(store.list("")) == [("a.bin", 1), ("b/two.bin", 2)]
    assert list(store.list("b")) == [("b/two.bin", 2)]
    store.delete("b/two.bin")
    assert (store.size("b/two.bin"), store.size("a.bin")) == (None, 1)
    assert store.local_path("a.bin") is None
    with pytest.raises(NotFound, match=r"b/two\.bin is not in store s3://bucket/"):
        store.get("b/two.bin")


def test_a_file_larger_than_one_part_arrives_whole(store: ObjectStore, tmp_path: Path):
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 48_000)  # 12 MB: three parts
    blob = put_blob(store, source, ".bin")
    assert fetch_blob(store, blob).read_bytes() == source.read_bytes()


def test_of_eight_racing_writers_one_creates_each_object(store: ObjectStore):
    start = threading.Barrier(8)

    def create(writer: int) -> int:
        start.wait()
        return sum(store.put_if_absent(f"log/{n}", b"%d" % writer) for n in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 10


def test_a_fetched_blob_is_kept_in_the_cache_and_verified_there(store: ObjectStore, tmp_path: Path):
    blob = put_blob(store, b"weights", ".bin")
    cached = fetch_blob(store, blob)
    assert cached.is_relative_to(tmp_path / "root" / "cache")
    cached.write_bytes(b"WEIGHTS")
    assert fetch_blob(store, blob).read_bytes() == b"weights"


def test_a_flipped_byte_is_refused_and_leaves_no_file(store: ObjectStore, tmp_path: Path):
    blob = put_blob(store, b"weights", ".bin")
    store.put(blob.key, b"Weights")
    with pytest.raises(CorruptArtifact, match=blob.key):
        fetch_blob(store, blob)
    with pytest.raises(CorruptArtifact):
        read_blob(store, blob)
    assert [path for path in (tmp_path / "root" / "cache" / "blobs").rglob("*") if path.is_file()] == []


def test_records_and_registry_work_as_on_disk(store: ObjectStore):
    digest = put_files(store, "model", {"model.json": b"{}", "weights.bin": b"1"}, {"a": 1})
    record = StepRecord("a" * 64, "train", ModelRef(store.url, digest), 1.0, 2.0, "")
    assert find_record(store, "a" * 64).record is None
    assert put_record(store, record) == 1
    assert find_record(store, "a" * 64).record == record
    registry = open_registry(store.url)
    assert registry.register("digits", digest, digest) == 1
    registry.promote("digits", 1)
    champion = open_registry(store.url).alias("digits", "champion")
    assert champion is not None
    assert champion.artifact == digest


def test_a_missing_bucket_is_named(moto_server: str, monkeypatch: pytest.MonkeyPatch):
    _environment(monkeypatch, moto_server)
    with pytest.raises(NotFound, match="store s3://nowhere/x: the bucket does not exist"):
        open_store("s3://nowhere/x")


def test_without_credentials_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(ConfigError, match="no credentials; set AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket/x")


def test_a_wrong_secret_says_what_to_set_and_repeats_no_secret(lookalike: LookalikeS3):
    lookalike.refuse = (403, "SignatureDoesNotMatch")
    with pytest.raises(ConfigError, match=r"denied \(SignatureDoesNotMatch\); set AWS_ACCESS_KEY_ID") as refusal:
        open_store("s3://bucket/x")
    assert "hushhush" not in str(refusal.value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.patience.PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr("storage.patience.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("storage.patience.REST_SECONDS", 60.0)


def test_server_errors_are_waited_out(lookalike: LookalikeS3):
    store = open_store("s3://bucket/x")
    store.put("a", b"1")
    lookalike.refuse = (503, "SlowDown")
    threading.Timer(1.5, lambda: setattr(lookalike, "refuse", None)).start()
    assert store.get("a") == b"1"
    assert lookalike.requests > 5


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answered_is_worth_another_try_but_not_a_long_wait(monkeypatch: pytest.MonkeyPatch):
    _environment(monkeypatch, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageUnavailable, match="check the network and AWS_ENDPOINT_URL"):
        open_store("s3://bucket/never")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_falls_silent_is_given_up_once_and_by_all(lookalike: LookalikeS3):
    store = open_store("s3://bucket/silent")
    store.put("a", b"1")
    lookalike.refuse = (503, "SlowDown")
    with pytest.raises(StorageSilent, match=r"status 503 SlowDown.*what is done is kept; it has been silent for \d+ s"):
        store.get("a")
    asked = lookalike.requests
    for act in (lambda: store.put("b", b"2"), lambda: store.size("a"), lambda: store.delete("a")):
        with pytest.raises(StorageSilent, match="silent for"):
            act()
    assert lookalike.requests == asked  # nobody even asked


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_back_is_believed_again(lookalike: LookalikeS3, monkeypatch: pytest.MonkeyPatch):
    store = open_store("s3://bucket/back")
    store.put("a", b"1")
    lookalike.refuse = (500, "InternalError")
    with pytest.raises(StorageSilent):
        store.get("a")
    lookalike.refuse = None
    monkeypatch.setattr("storage.patience.REST_SECONDS", 0.0)
    assert store.get("a") == b"1"
    lookalike.refuse = (500, "InternalError")
    monkeypatch.setattr("storage.patience.PATIENCE_SECONDS", 60.0)
    threading.Timer(1.0, lambda: setattr(lookalike, "refuse", None)).start()
    assert store.get("a") == b"1"


def test_a_server_that_ignores_conditions_is_refused(lookalike: LookalikeS3):
    lookalike.conditions = False
    with pytest.raises(ConfigError, match="such a store loses releases"):
        open_store("s3://bucket/x")


def test_the_check_says_of_a_server_that_ignores_conditions_that_millrace_cannot_work_there(
    store: ObjectStore, moto_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with fault_proxy(moto_server) as proxy:
        proxy.forgotten = {"if-none-match"}
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        assert main(["storage", "check", f"{store.url}/y", "--large-mb", "1"]) == 1
    out = capsys.readouterr().out
    assert "✗ put-if-absent" in out
    assert "✓ large objects" in out
    assert out.endswith("Millrace cannot work here, see ✗\n")
    assert list(store.list("y")) == []


def test_a_store_that_may_only_be_read_opens_and_refuses_to_write(lookalike: LookalikeS3):
    open_store("s3://bucket/x").put("a", b"1")
    lookalike.read_only = True
    store = open_store("s3://bucket/x/")
    reader = open_store("s3://bucket/y")
    assert store.get("a") == b"1"
    with pytest.raises(ConfigError, match=r"access to a was denied \(AccessDenied\)"):
        reader.put("a", b"2")


def test_a_commit_whose_answer_was_lost_is_recognised_as_ours(lookalike: LookalikeS3):
    store = open_store("s3://bucket/x")
    lookalike.lost_answers = 1
    assert store.put_if_absent("log/1", b"mine")
    assert not store.put_if_absent("log/1", b"yours")
    assert lookalike.lost_answers == 0
