"""Big blobs come from a bucket in parts: several at a time, further after a kill, and never believed before the whole was looked at."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import ROOT, wait_for
from fault_proxy import FaultProxy, Storm, fault_proxy
from stores import moto_server, s3_store

from storage.blobs import Blob, damage_key, fetch_blob, put_blob
from storage.errors import CorruptArtifact, NotFound
from storage.fetching import PART_BYTES
from storage.metering import metered
from storage.objects import ObjectStore, open_store

__all__ = ["moto_server", "s3_store"]

PARTS = 5
SIZE = PARTS * PART_BYTES - 12_345
FETCH = """
import sys
from storage.blobs import Blob, fetch_blob
from storage.objects import open_store
fetch_blob(open_store(sys.argv[1]), Blob(sys.argv[2], int(sys.argv[3]), ".bin"))
"""


class SilentAfter:
    """A storm: from so many answered parts on, nothing more is heard."""

    def __init__(self, parts: int) -> None:
        self.left = parts

    def next(self, request: str) -> str:
        if not request.startswith("GET") or "/blobs/" not in request:
            return ""
        self.left -= 1
        return "stall" if self.left < 0 else ""


@pytest.fixture
def proxy(s3_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(os.environ["AWS_ENDPOINT_URL"]) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        yield between


@pytest.fixture
def content() -> bytes:
    return random.Random(7).randbytes(SIZE)


@pytest.fixture
def blob(s3_store: ObjectStore, content: bytes) -> Blob:
    return put_blob(s3_store, content, ".bin")


@pytest.fixture
def store(proxy: FaultProxy, s3_store: ObjectStore, blob: Blob) -> ObjectStore:
    """The same store, through the proxy."""
    return open_store(s3_store.url)


def asked(proxy: FaultProxy) -> list[str]:
    """The ranges that were asked for."""
    return [headers["range"] for method, path, headers in proxy.seen if method == "GET" and "/blobs/" in path]


def unfinished(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "root" / "work" / "unfinished").glob("fetch-*"))


def has_parts(tmp_path: Path) -> int:
    return sum(
        sum(folder.joinpath("done").read_bytes()) for folder in unfinished(tmp_path) if (folder / "done").exists()
    )


def kill_in_the_middle(proxy: FaultProxy, store: ObjectStore, blob: Blob, tmp_path: Path, parts: int) -> Path:
    """The folder that a process leaves that is killed when it has so many parts."""
    proxy.storm = SilentAfter(parts)  # pyright: ignore[reportAttributeAccessIssue]
    command = [sys.executable, "-c", FETCH, store.url, blob.digest, str(blob.size)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        wait_for(lambda: has_parts(tmp_path) == parts, "the parts")
        process.send_signal(signal.SIGKILL)
        process.wait()
    proxy.storm = None
    proxy.seen.clear()
    return unfinished(tmp_path)[0]


def test_a_big_blob_arrives_in_parts_and_is_kept(
    store: ObjectStore, proxy: FaultProxy, blob: Blob, content: bytes, tmp_path: Path
):
    with metered() as meter:
        path = fetch_blob(store, blob)
    assert path.read_bytes() == content
    assert len(asked(proxy)) == PARTS
    assert meter.cost()["bytes_in"] == SIZE
    assert fetch_blob(store, blob) == path
    assert len(asked(proxy)) == PARTS
    assert unfinished(tmp_path) == []


def test_a_fetch_that_was_killed_goes_on_where_it_was(
    store: ObjectStore, proxy: FaultProxy, blob: Blob, content: bytes, tmp_path: Path
):
    kill_in_the_middle(proxy, store, blob, tmp_path, parts=3)
    with metered() as meter:
        assert fetch_blob(store, blob).read_bytes() == content
    assert len(asked(proxy)) == PARTS - 3
    assert int(meter.cost()["bytes_in"] or 0) < 2 * PART_BYTES + 1
    assert unfinished(tmp_path) == []


def test_a_byte_that_changed_in_what_was_left_is_found_and_all_is_fetched_again(
    store: ObjectStore, proxy: FaultProxy, blob: Blob, content: bytes, tmp_path: Path
):
    left = kill_in_the_middle(proxy, store, blob, tmp_path, parts=2)
    (first, *_) = [number for number, mark in enumerate((left / "done").read_bytes()) if mark]
    with (left / "parts").open("r+b") as file:
        file.seek(first * PART_BYTES)
        file.write(bytes([content[first * PART_BYTES] ^ 1]))
    assert fetch_blob(store, blob).read_bytes() == content
    assert len(asked(proxy)) == PARTS - 2 + PARTS
    assert store.head(damage_key(blob)) is None  # the store is not to blame


@pytest.mark.parametrize("hurt", ["parts", "done"])
def test_what_is_left_of_another_length_is_not_taken_up(
    store: ObjectStore, proxy: FaultProxy, blob: Blob, content: bytes, tmp_path: Path, hurt: str
):
    left = kill_in_the_middle(proxy, store, blob, tmp_path, parts=2)
    os.truncate(left / hurt, 3)
    assert fetch_blob(store, blob).read_bytes() == content
    assert len(asked(proxy)) == PARTS


def test_a_byte_that_changed_in_the_bucket_is_found_and_nothing_is_left(
    store: ObjectStore, blob: Blob, content: bytes, tmp_path: Path
):
    store.put(blob.key, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptArtifact, match=f"expected {blob.digest}"):
        fetch_blob(store, blob)
    assert store.head(damage_key(blob))
    assert unfinished(tmp_path) == []
    assert [path for path in (tmp_path / "root" / "cache" / "blobs").rglob("*") if path.is_file()] == []


def test_a_blob_that_is_cut_short_or_gone_is_named(store: ObjectStore, blob: Blob, content: bytes):
    store.put(blob.key, content[:-5])
    with pytest.raises(CorruptArtifact, match=f"found {SIZE - 5} bytes, expected {SIZE}"):
        fetch_blob(store, blob)
    store.delete(blob.key)
    with pytest.raises(NotFound, match=blob.key):
        fetch_blob(store, blob)


def test_of_several_that_want_it_at_once_one_fetches(store: ObjectStore, proxy: FaultProxy, blob: Blob, content: bytes):
    with ThreadPoolExecutor(3) as pool:
        paths = set(pool.map(lambda _: fetch_blob(store, blob), range(3)))
    assert len(paths) == 1
    assert paths.pop().read_bytes() == content
    assert len(asked(proxy)) == PARTS


def test_in_a_storm_it_arrives_whole(store: ObjectStore, proxy: FaultProxy, blob: Blob, content: bytes):
    proxy.storm = Storm(share=0.4, seed=1)
    assert fetch_blob(store, blob).read_bytes() == content
    assert sum(proxy.storm.hurt.values()) > 0
