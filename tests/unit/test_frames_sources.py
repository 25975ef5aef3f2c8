"""Sources: what is found of them is told by content, and what is wrong with one is told in a line that names it."""

import bz2
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import free_port
from lookalike_s3 import lookalike_s3

from storage.errors import ConfigError, MillraceError, NotFound, SchemaError, StorageUnavailable
from tasks.frames import identity, streams
from tasks.frames.faults import reading
from tasks.frames.filesystems import filesystem
from tasks.frames.identity import source_identity
from tasks.frames.pieces import Piece, plan_group
from tasks.frames.reading import read_piece
from tasks.frames.sources import find_groups
from tasks.sections import DataSection

S3_SETTINGS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}


class Web(ThreadingHTTPServer):
    """The files of `folder`. `dated`: tells their times; `ranges`: gives parts of them; `refuse`: a status for every request."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.dated, self.refuse, self.ranges = folder, False, 0, False
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: Web  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, request: Any, address: Any, server: Any) -> None:
        super().__init__(request, address, server, directory=str(server.folder))

    def do_GET(self) -> None:
        if self.server.refuse:
            return self.send_error(self.server.refuse)
        part = self.headers.get("Range", "")
        if self.server.ranges and part:
            content = Path(self.translate_path(self.path)).read_bytes()
            first, last = (int(number) for number in part.removeprefix("bytes=").split("-"))
            content = content[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return None
        return super().do_GET()

    def do_HEAD(self) -> None:
        return self.send_error(self.server.refuse) if self.server.refuse else super().do_HEAD()

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Last-Modified" or self.server.dated:
            super().send_header(keyword, value)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "web").mkdir()
    server = Web(tmp_path / "web")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings, and a data root that is empty."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("HOME", str(tmp_path))


def settings(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in {**S3_SETTINGS, "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)


def section(url: str, **more: object) -> DataSection:
    return DataSection.model_validate({"sources": [{"url": url}], "kind": "table", **more})


def pieces(data: DataSection) -> list[Piece]:
    return [piece for group in find_groups(data) for piece in plan_group(data, group)]


def rows(data: DataSection) -> list[dict[str, Any]]:
    return [row for piece in pieces(data) for row in read_piece(data, piece).table.to_pylist()]


def fault(kind: type[MillraceError], url: str) -> str:
    """The one line that says what is wrong with the source."""
    with pytest.raises(kind) as caught:
        rows(section(url))
    (line,) = str(caught.value).splitlines()
    return line


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    mine = os.geteuid()
    os.seteuid(mine or 65534)
    try:
        yield
    finally:
        os.seteuid(mine)


def test_another_content_of_the_same_size_is_another_identity_over_http(web: Web):
    data = section(f"{web.url}/t.csv")
    (web.folder / "t.csv").write_text("a,b\n1,2\n")
    before = source_identity(data)
    assert source_identity(data) == before
    (web.folder / "t.csv").write_text("a,b\n1,3\n")
    assert source_identity(data) != before


def test_a_change_within_the_second_that_http_tells_is_another_identity(web: Web):
    web.dated = True
    data = section(f"{web.url}/t.csv")
    (web.folder / "t.csv").write_text("a,b\n1,2\n")
    before = source_identity(data)
    (web.folder / "t.csv").write_text("a,b\n1,3\n")
    assert source_identity(data) != before


def test_a_file_with_an_old_time_is_hashed_once_and_no_token_kept(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    web.dated = True
    (web.folder / "t.csv").write_text("a,b\n1,2\n")
    os.utime(web.folder / "t.csv", (time.time() - 60,) * 2)
    data = section(f"{web.url}/t.csv?key=secret")
    before = source_identity(data)
    monkeypatch.setattr(identity, "_hash", lambda url: pytest.fail("hashed again"))
    assert source_identity(data) == before
    assert "secret" not in (tmp_path / "root" / "identities.json").read_text()


def test_a_local_file_is_hashed_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, hashed = tmp_path / "t.csv", []
    honest = identity._hash
    monkeypatch.setattr(identity, "_hash", lambda url: hashed.append(url) or honest(url))
    path.write_text("a\n1\n")
    before = source_identity(section(str(path)))
    assert source_identity(section(str(path))) == before
    assert len(hashed) == 1
    path.write_text("a\n2\n")
    assert source_identity(section(str(path))) != before
    assert len(hashed) == 2


@pytest.mark.parametrize("limit", [8 << 20, 10])
@pytest.mark.parametrize("ranges", [False, True])
def test_csv_is_read_from_http_servers_that_give_parts_and_from_those_that_do_not(
    web: Web, monkeypatch: pytest.MonkeyPatch, limit: int, ranges: bool
):
    monkeypatch.setattr(streams, "IN_MEMORY_BYTES", limit)
    web.ranges = ranges
    (web.folder / "t.csv").write_text("a,b\n" + "".join(f"{i},{i}\n" for i in range(100)))
    assert [row["a"] for row in rows(section(f"{web.url}/t.csv", shard_rows=30))] == [str(i) for i in range(100)]


def test_a_large_file_from_a_server_without_parts_is_read_whole_and_has_an_identity(web: Web):
    text = "a,b\n" + "".join(f"{i},{'x' * 1000}\n" for i in range(12_000))
    (web.folder / "t.csv").write_text(text)
    data = section(f"{web.url}/t.csv", shard_rows=7000)
    assert [row["a"] for row in rows(data)] == [str(i) for i in range(12_000)]
    assert source_identity(data)


def test_parquet_is_read_from_its_end_over_http(web: Web):
    numbers = np.random.default_rng(0).random(1_500_000)
    pq.write_table(pa.table({"a": numbers}), web.folder / "t.parquet")
    assert (web.folder / "t.parquet").stat().st_size > streams.IN_MEMORY_BYTES
    data = section(f"{web.url}/t.parquet", shard_rows=1_000_000)
    assert read_piece(data, pieces(data)[-1]).table["a"][-1].as_py() == numbers[-1]


def test_an_unknown_protocol_is_named(tmp_path: Path):
    assert "foo://x/y.csv: cannot be opened (Protocol not known: foo); use" in fault(ConfigError, "foo://x/y.csv")
    assert "github://x/y.csv: cannot be opened" in fault(ConfigError, "github://x/y.csv")


def test_missing_credentials_are_named_with_the_settings_that_give_them(monkeypatch: pytest.MonkeyPatch):
    settings(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    said = fault(ConfigError, "s3://bucket/y.csv")
    assert "s3://bucket/y.csv: found no credentials" in said
    assert "set AWS_ACCESS_KEY_ID" in said


def test_a_bucket_that_denies_a_missing_one_and_a_missing_object_are_named(monkeypatch: pytest.MonkeyPatch):
    with lookalike_s3() as s3:
        settings(monkeypatch, s3.url)
        assert "s3://bucket/y.csv: no such file" in fault(NotFound, "s3://bucket/y.csv")
        s3.refuse = (403, "AccessDenied")
        assert "s3://bucket/y.csv: may not be read" in fault(ConfigError, "s3://bucket/y.csv")
        s3.refuse = (404, "NoSuchBucket")
        assert "s3://bucket/y.csv: the bucket does not exist" in fault(NotFound, "s3://bucket/y.csv")
        assert "s3://bucket/y-*.csv: the bucket does not exist" in fault(NotFound, "s3://bucket/y-*.csv")


def test_an_object_store_that_nobody_answers_for_is_worth_another_try(monkeypatch: pytest.MonkeyPatch):
    settings(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert "s3://bucket/y.csv: the source did not answer" in fault(StorageUnavailable, "s3://bucket/y.csv")


def test_a_file_that_may_not_be_read_is_named():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "t.csv")
        path.write_text("a\n1\n")
        path.chmod(0)
        with as_nobody():
            assert "t.csv: may not be read ([Errno 13] Permission denied" in fault(ConfigError, str(path))
        with as_nobody(), pytest.raises(ConfigError, match=r"t\.csv: may not be read"):
            source_identity(section(str(path)))


def test_http_answers_are_told_apart(web: Web):
    assert f"no file matches '{web.url}/y.csv'" in fault(NotFound, f"{web.url}/y.csv")
    for status, kind, said in (
        (401, ConfigError, "may not be read (HTTP status 401"),
        (403, ConfigError, "may not be read (HTTP status 403"),
        (400, ConfigError, "was refused (HTTP status 400"),
        (429, StorageUnavailable, "did not answer (HTTP status 429"),
        (503, StorageUnavailable, "did not answer (HTTP status 503"),
    ):
        web.refuse = status
        assert said in fault(kind, f"{web.url}/y.csv")


def test_a_refusal_after_the_planning_is_told_apart(web: Web):
    (web.folder / "t.csv").write_text("a,b\n1,2\n")
    data = section(f"{web.url}/t.csv")
    (piece,) = pieces(data)
    web.refuse = 503
    with pytest.raises(StorageUnavailable, match="HTTP status 503"):
        read_piece(data, piece)
    (web.folder / "t.csv").unlink()
    web.refuse = 0
    with pytest.raises(NotFound, match=r"t\.csv: no such file \(HTTP status 404"):
        read_piece(data, piece)


def test_an_http_server_that_is_not_there_is_worth_another_try():
    url = f"http://127.0.0.1:{free_port()}/y.csv"
    assert f"{url}: the source did not answer" in fault(StorageUnavailable, url)


def test_no_token_of_a_url_is_shown(web: Web):
    web.refuse = 403
    said = fault(ConfigError, f"{web.url}/y.csv?key=secret&more=secret")
    assert f"{web.url}/y.csv?…: may not be read" in said
    assert "secret" not in said
    web.refuse = 0
    assert "secret" not in fault(NotFound, f"{web.url}/y.csv?key=secret")


def test_neither_user_nor_password_is_shown():
    with pytest.raises(NotFound) as caught, reading("foo://me:p@ss@host/y.csv"):
        raise FileNotFoundError("cannot find https://me:p@ss@host/y.csv")
    assert "foo://…@host/y.csv: no such file (cannot find https://…@host/y.csv)" in str(caught.value)
    with pytest.raises(ConfigError) as refused:
        filesystem("foo://me:secret@host/y.csv")
    assert "secret" not in str(refused.value)


def test_damaged_bz2_is_a_fault_of_the_file(tmp_path: Path):
    (tmp_path / "t.csv.bz2").write_bytes(b"no bz2 at all" + bz2.compress(b"a\n1\n"))
    assert "t.csv.bz2: cannot be read (Invalid data stream); it is damaged" in fault(
        SchemaError, str(tmp_path / "t.csv.bz2")
    )
