"""The object store on a real S3 server, undisturbed and in a storm of faults."""

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fault_proxy import FAULTS, FaultProxy, Storm, fault_proxy
from real_s3 import RealS3

from flows.cli import main
from infra.s3_server.ceph import KMS_KEY
from storage.blobs import fetch_blob, put_blob
from storage.errors import ConfigError, NotFound, Untrusted
from storage.objects import ObjectStore, open_store
from storage.registry import Registry, open_registry
from storage.signing import open_keyring
from storage.surroundings import surrounded, variables
from tasks.frames.identity import source_identity
from tasks.frames.pieces import plan_group
from tasks.frames.reading import read_piece
from tasks.frames.sources import find_groups
from tasks.sections import DataSection


@pytest.fixture
def store(real_s3: RealS3) -> ObjectStore:
    return open_store(f"s3://{real_s3.bucket}/x")


@pytest.fixture
def proxy(real_s3: RealS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(real_s3.url) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        yield between


def test_of_eight_racing_writers_one_creates_each_object(store: ObjectStore):
    start = threading.Barrier(8)

    def create(writer: int) -> int:
        start.wait()
        return sum(store.put_if_absent(f"log/{n}", b"%d" % writer) for n in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 10


def test_racing_registrations_get_a_version_each(store: ObjectStore):
    open_keyring(store.url).sign(b"")  # the key is there before the race
    start = threading.Barrier(6)

    def register(writer: int) -> int:
        start.wait()
        digest = f"{writer:064x}"
        return Registry(store, open_keyring(store.url)).register("digits", digest, digest)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(register, range(6))) == [1, 2, 3, 4, 5, 6]


def test_another_machine_is_told_whom_to_trust(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Registry(store, open_keyring(store.url)).register("digits", "a" * 64, "a" * 64)
    key = (tmp_path / "root" / "keys" / "signing.pub").read_text()
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "elsewhere"))
    with pytest.raises(Untrusted, match=r"not trusted here .*copy the signer's signing\.pub .*MILLRACE_TRUSTED_KEYS"):
        open_registry(store.url).versions("digits")
    monkeypatch.setenv("MILLRACE_TRUSTED_KEYS", key)
    assert len(open_registry(store.url).versions("digits")) == 1


def test_a_missing_bucket_and_a_wrong_secret_are_told_apart(real_s3: RealS3, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(NotFound, match="store s3://nowhere/x: the bucket does not exist"):
        open_store("s3://nowhere/x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hushhush")
    with pytest.raises(ConfigError, match="SignatureDoesNotMatch") as refusal:
        open_store(f"s3://{real_s3.bucket}/x")
    assert "hushhush" not in str(refusal.value)


def test_sources_in_a_bucket_are_found_told_by_content_and_read_also_in_a_storm(
    proxy: FaultProxy, real_s3: RealS3, tmp_path: Path
):
    pq.write_table(pa.table({"a": list(range(9)), "b": list("abcdefghi")}), tmp_path / "t.parquet")
    client = real_s3.client()
    client.upload_file(str(tmp_path / "t.parquet"), real_s3.bucket, "in/t.parquet")
    client.put_object(Bucket=real_s3.bucket, Key="in/t.csv.gz", Body=gzip.compress(b"a,b\n9,j\n10,k\n"))
    data = DataSection.model_validate({"sources": [{"url": f"s3://{real_s3.bucket}/in/t.*"}], "kind": "table"})
    proxy.storm = Storm(share=0.3)
    pieces = [piece for group in find_groups(data) for piece in plan_group(data, group)]
    rows = [row for piece in pieces for row in read_piece(data, piece).table.to_pylist()]
    assert sorted(int(row["a"]) for row in rows) == list(range(11))
    before = source_identity(data)
    client.put_object(Bucket=real_s3.bucket, Key="in/t.csv.gz", Body=gzip.compress(b"a,b\n9,j\n10,x\n"))
    assert source_identity(data) != before
    assert sum(proxy.storm.hurt.values()) > 3


@pytest.mark.parametrize("kinds", [FAULTS, *((kind,) for kind in (*FAULTS, "slow", "stall"))], ids="+".join)
def test_in_a_storm_every_operation_ends_right(
    kinds: tuple[str, ...], proxy: FaultProxy, real_s3: RealS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("storage.clouds.READ_SECONDS", 0.5)  # a stalled answer is given up sooner, else as ever
    monkeypatch.setattr("fault_proxy.SLOW_SECONDS", 0.3)
    store, calm = open_store(f"s3://{real_s3.bucket}/x"), f"s3://{real_s3.bucket}/x"
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 48_000)  # 12 MB: three parts
    proxy.storm = Storm(share=0.3, kinds=kinds)
    for number in range(12):
        assert store.put_if_absent(f"log/{number}", b"mine %d" % number)
        assert not store.put_if_absent(f"log/{number}", b"yours")
        assert store.get(f"log/{number}") == b"mine %d" % number
    blob = put_blob(store, large, ".bin")
    assert fetch_blob(store, blob).read_bytes() == large.read_bytes()
    store.delete("log/0")
    assert [key for key, _ in store.list("log")] == sorted(f"log/{number}" for number in range(1, 12))
    assert set(proxy.storm.hurt) == set(kinds)
    with surrounded({"AWS_ENDPOINT_URL": real_s3.url}):
        assert open_store(calm).get("log/7") == b"mine 7"


def test_a_lost_answer_makes_no_second_version(proxy: FaultProxy, real_s3: RealS3):
    store = open_store(f"s3://{real_s3.bucket}/x")
    registry = Registry(store, open_keyring(store.url))
    for version in (1, 2, 3):
        proxy.storm = Storm(share=1.0, kinds=("lost",))
        assert registry.register("digits", f"{version:064x}", f"{version:064x}") == version
        assert proxy.storm.hurt["lost"] > 0
    proxy.storm = None
    assert [version.number for version in registry.versions("digits")] == [1, 2, 3]


def test_what_a_configuration_asks_for_is_encrypted(proxy: FaultProxy, real_s3: RealS3):
    url = f"s3://{real_s3.bucket}/x"
    with surrounded(variables(url, endpoint=proxy.url, encryption="sse-kms", kms_key=KMS_KEY)):
        open_store(url).put("a", b"secret")
        assert open_store(url).get("a") == b"secret"
    asked = [headers for method, path, headers in proxy.seen if (method, path) == ("PUT", f"/{real_s3.bucket}/x/a")]
    assert [headers["x-amz-server-side-encryption"] for headers in asked] == ["aws:kms"]
    assert real_s3.client().head_object(Bucket=real_s3.bucket, Key="x/a")["SSEKMSKeyId"] == KMS_KEY


def test_the_check_of_a_store_says_what_it_can_do_and_leaves_nothing(
    real_s3: RealS3, capsys: pytest.CaptureFixture[str]
):
    assert main(["storage", "check", f"s3://{real_s3.bucket}/x", "--json", "--large-mb", "6"]) == 0
    told = json.loads(capsys.readouterr().out)
    states = {name: check["state"] for name, check in told["checks"].items()}
    good = ("writes", "reads", "listing", "put-if-absent", "large objects", "clock", "deletes")
    assert states == {**dict.fromkeys(good, "good"), "transport": "poor", "encryption": "poor"}
    assert list(open_store(f"s3://{real_s3.bucket}/x").list("")) == []
