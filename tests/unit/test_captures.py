"""What was captured: joined with labels, erased by subject, removed by age, left alone by the store's own upkeep."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from commands import environment
from handmade import ITEMS, iris_store

from flows.cli import main as millrace
from storage.audit import AUDIT, check_log
from storage.errors import ConfigError, NotFound
from storage.objects import ObjectStore
from storage.registry import Registry
from storage.signing import open_keyring
from storage.verification import verify_store
from tasks.captures.expiring import expire
from tasks.captures.forgetting import forget
from tasks.captures.joining import summaries
from tasks.captures.objects import get_table
from tasks.captures.packed import Shaper
from tasks.captures.places import captured, unknown_labels
from tasks.captures.redaction import Redaction
from tasks.captures.writing import Writer

HOUR = 3600.0
NOW = 1_795_294_224.0  # 2026-11-21T20:50:24 UTC
ANN = "ann@example.org"
Iris = tuple[ObjectStore, Registry]


@pytest.fixture
def iris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iris:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return iris_store(tmp_path)


def request(name: str, subject: str = "", items: int = 2, seconds: float = NOW) -> bytes:
    row = (seconds, name, subject, "", "iris", 1, "champion", ITEMS[:items], ["setosa"] * items)
    return msgspec.msgpack.encode(row)


def told(name: str, *labels: str, models: tuple[str, ...] = (), seconds: float = NOW) -> bytes:
    model, version = ("", 0) if models else ("iris", 1)
    return msgspec.msgpack.encode((seconds, name, model, version, labels, models))


def write(iris: Iris, *requests: bytes, labels: tuple[bytes, ...] = ()) -> None:
    store, registry = iris
    Writer(store, Shaper(store, registry, Redaction((), ()))).write(requests, labels)


def column(store: ObjectStore, name: str) -> list[Any]:
    return [
        value
        for one in captured(store, "iris")
        if not one.place.labels
        for value in get_table(store, one.key)[name].to_pylist()
    ]


def exported(store: ObjectStore, folder: Path, *options: str) -> list[dict[str, Any]]:
    file = folder / "out.parquet"
    assert millrace(["captures", "iris", "--storage", store.url, "--export", str(file), *options]) == 0
    return pq.read_table(file).to_pylist()


def test_one_request_that_cannot_be_written_does_not_keep_the_others(iris: Iris) -> None:
    store, registry = iris
    odd = msgspec.msgpack.encode((NOW, "b", "", "", "iris", 7, "champion", ITEMS[:1], ["setosa"]))
    written = Writer(store, Shaper(store, registry, Redaction((), ()))).write([request("a"), odd], [])
    assert (written.stored, written.dropped) == ({"iris": 1}, {"iris": 1})
    assert column(store, "request_id") == ["a", "a"]


def test_rows_are_exported_with_the_latest_label_of_their_item(iris: Iris, tmp_path: Path) -> None:
    first, second = told("a", "setosa", "virginica"), told("a", "versicolor", seconds=NOW + 1)
    write(iris, request("a"), request("b"), labels=(second, first))
    rows = exported(iris[0], tmp_path)
    assert [(row["request_id"], row["item"], row["label"]) for row in rows] == [
        ("a", 0, '"versicolor"'),
        ("a", 1, '"virginica"'),
        ("b", 0, None),
        ("b", 1, None),
    ]
    assert {row["version"] for row in rows} == {1}
    assert json.loads(rows[1]["input"]) == ITEMS[1]


def test_labels_of_forgotten_requests_count_for_the_models_that_may_be_told(iris: Iris) -> None:
    ours, all_models, others = (
        told(name, "setosa", models=(may,)) for name, may in (("a", "iris"), ("b", "*"), ("c", "x"))
    )
    write(iris, request("a", items=1), request("b", items=1), request("c", items=1), labels=(ours, all_models, others))
    (summary,) = summaries(iris[0], "iris")
    assert (summary.rows, summary.labelled) == (3, 2)


def test_an_export_may_begin_at_a_time_and_be_of_one_version(iris: Iris, tmp_path: Path) -> None:
    write(iris, request("a", seconds=NOW - HOUR), request("b", seconds=NOW - 1), request("c", seconds=NOW))
    assert {row["request_id"] for row in exported(iris[0], tmp_path, "--since", "2026-11-21T20:50:24Z")} == {"c"}
    assert exported(iris[0], tmp_path, "--version", "2") == []
    assert [name for name in os.listdir(tmp_path) if "out" in name] == ["out.parquet"]


def test_the_list_tells_rows_hours_and_labels(iris: Iris, capsys: pytest.CaptureFixture[str]) -> None:
    write(iris, request("a", seconds=NOW - HOUR), request("b"), labels=(told("a", "setosa"),))
    assert millrace(["captures", "iris", "--storage", iris[0].url, "--json"]) == 0
    (version,) = json.loads(capsys.readouterr().out)["versions"]
    assert {name: version[name] for name in ("version", "rows", "files", "hours", "labelled")} == {
        "version": 1, "rows": 4, "files": 2, "hours": 2, "labelled": 1,
    }  # fmt: skip
    assert millrace(["captures", "iris", "--storage", iris[0].url]) == 0
    assert re.search(r"version 1 +4 rows +25.0 % labelled +2 files .* 2 hours", capsys.readouterr().out)


def test_a_forgotten_subject_is_nowhere_in_the_store_and_the_others_are(
    iris: Iris, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = iris
    write(
        iris, request("a", ANN), request("b", "bob"), labels=(told("a", "virginica", "virginica"), told("b", "setosa"))
    )
    write(iris, request("c", ANN), labels=(told("c", "versicolor", models=("*",)),))
    assert millrace(["forget", "iris", ANN, "--storage", store.url]) == 0
    assert "4 rows in 2 files erased, and 3 labels in 2" in capsys.readouterr().out
    assert column(store, "subject") == ["bob", "bob"]
    assert list(unknown_labels(store)) == []
    assert [row["label"] for row in exported(store, Path(store.url).parent)] == ['"setosa"', None]
    everything = b"".join(path.read_bytes() for path in Path(store.url).rglob("*") if path.is_file())
    assert ANN.encode() not in everything


def test_a_dry_run_changes_nothing_and_is_not_recorded(iris: Iris, capsys: pytest.CaptureFixture[str]) -> None:
    store, _ = iris
    write(iris, request("a", "ann"), request("b"))
    before = {item.key: item.etag for item in store.survey("")}
    assert millrace(["forget", "iris", "ann", "--dry-run", "--json", "--storage", store.url]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["files"], found["nameless"]) == (2, 1, 2)
    assert {item.key: item.etag for item in store.survey("")} == before


def test_forgetting_is_recorded_before_it_is_done_and_names_nobody(iris: Iris) -> None:
    store, _ = iris
    write(iris, request("a", "ann"))
    millrace(["forget", "iris", "ann", "--storage", store.url])
    (entry,) = check_log(store, open_keyring(store.url), AUDIT).entries
    assert (entry.action, entry.fields["model"], entry.fields["rows"]) == ("forget-subject", "iris", 2)
    assert re.fullmatch(r"scrypt\$[0-9a-f]{32}\$[0-9a-f]{64}", entry.fields["subject"])


def test_what_cannot_be_recorded_is_not_erased(iris: Iris) -> None:
    write(iris, request("a", "ann"))

    def refuse(_: Any) -> None:
        raise NotFound("no audit log")

    with pytest.raises(NotFound):
        forget(iris[0], "iris", "ann", refuse)
    assert column(iris[0], "subject") == ["ann", "ann"]


def test_rows_whose_subject_was_redacted_are_counted_as_nobody_s(iris: Iris) -> None:
    store, registry = iris
    Writer(store, Shaper(store, registry, Redaction((), (r"\S+@\S+",)))).write([request("a", ANN)], [])
    found = forget(store, "iris", ANN, None)
    assert (found.rows, found.nameless) == (0, 2)


@pytest.mark.parametrize("subject", ["", "  "])
def test_rows_without_a_subject_cannot_be_forgotten_by_mistake(iris: Iris, subject: str) -> None:
    write(iris, request("a"))
    with pytest.raises(ConfigError, match="found an empty text"):
        forget(iris[0], "iris", subject, lambda _: None)


KILLED = """
import os, signal, sys
from storage.objects import ObjectStore, open_store
from tasks.captures.forgetting import forget
left = [int(sys.argv[1])]
def dying(act):
    def done(self, key, *rest):
        if key.startswith("captures/"):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
        return act(self, key, *rest)
    return done
ObjectStore.put, ObjectStore.delete = dying(ObjectStore.put), dying(ObjectStore.delete)
forget(open_store(sys.argv[2]), "iris", sys.argv[3], lambda _: None)
"""


def test_who_is_killed_while_forgetting_runs_it_again(iris: Iris, tmp_path: Path) -> None:
    """Of the four objects to change one is changed before the first kill, two before the second."""
    store, _ = iris
    write(iris, request("a", ANN), request("b", "bob"), labels=(told("a", "virginica"), told("b", "setosa")))
    write(iris, request("c", ANN), labels=(told("c", "virginica", models=("*",)),))
    codes = []
    for changes in ("1", "2", "9"):
        command = [sys.executable, "-c", KILLED, changes, store.url, ANN]
        codes.append(subprocess.run(command, env=environment(tmp_path / "root"), check=False).returncode)
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert column(store, "subject") == ["bob", "bob"]
    assert list(unknown_labels(store)) == []
    (labels,) = [get_table(store, one.key) for one in captured(store, "iris") if one.place.labels]
    assert labels["request_id"].to_pylist() == ["b"]


def test_of_two_who_forget_at_once_one_waits_and_neither_writes_back_what_the_other_erased(iris: Iris) -> None:
    store, _ = iris
    write(iris, request("a", ANN), request("b", "bob"), request("c"))
    waits = threading.Event()
    with ThreadPoolExecutor(1) as pool:

        def wait_for_the_other(_: Any) -> None:
            others.append(pool.submit(forget, store, "iris", "bob", lambda _: None, waits.set))
            assert waits.wait(30)

        others: list[Future[Any]] = []
        forget(store, "iris", ANN, wait_for_the_other)
        assert others[0].result().rows == 2
    assert column(store, "subject") == [None, None]


def test_hours_that_are_too_old_go_and_the_others_stay(iris: Iris) -> None:
    store, _ = iris
    old, young = NOW - 49 * HOUR, NOW - 47 * HOUR
    write(iris, request("a", seconds=old), request("b", seconds=young))
    write(iris, labels=(told("a", "setosa", seconds=old), told("b", "setosa", models=("*",), seconds=old)))
    assert expire(store, 0, NOW) == expire(store, 1e9, NOW) == expire(store, 2, NOW, "iri") == 0
    assert expire(store, 2, NOW, "iris") == 2
    assert expire(store, 2, NOW) == 1  # a label of whichever model
    assert column(store, "request_id") == ["b", "b"]
    assert store.head("captures/iris/version=1/reference.json")


def test_what_is_too_old_of_a_model_goes_by_command_where_no_recorder_runs(
    iris: Iris, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = iris
    now = time.time()
    write(iris, request("a", seconds=now - 49 * HOUR), request("b", seconds=now - 47 * HOUR))
    assert millrace(["captures", "iris", "--expire", "2", "--json", "--storage", store.url]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] == 1
    assert column(store, "request_id") == ["b", "b"]
    (entry,) = check_log(store, open_keyring(store.url), AUDIT).entries
    assert (entry.action, entry.fields["model"], entry.fields["keep_days"]) == ("expire-captures", "iris", 2)
    assert millrace(["captures", "iris", "--expire", "0", "--storage", store.url]) == 2
    assert millrace(["captures", "iris", "--expire", "1", "--since", "14:03", "--storage", store.url]) == 2
    assert column(store, "request_id") == ["b", "b"]


def test_what_a_killed_writer_left_is_removed_when_nobody_can_be_writing_it(iris: Iris) -> None:
    store, _ = iris
    write(iris, request("a"))
    (one,) = captured(store, "iris")
    old, young = (Path(f"{store.local_path(one.key)}#{number}") for number in (1, 2))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 700,) * 2)
    forget(store, "iris", "nobody of these", lambda _: None)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_collection_of_garbage_and_a_check_leave_captures_alone(
    iris: Iris, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = iris
    write(iris, request("a"), labels=(told("a", "setosa"), told("b", "setosa", models=("*",))))
    keys = [key for key, _ in store.list("captures")]
    for path in Path(store.url).rglob("*"):
        os.utime(path, (NOW - 1e6, NOW - 1e6))
    assert millrace(["gc", "--delete", "--grace", "1", "--storage", store.url]) == 0
    assert [key for key, _ in store.list("captures")] == keys
    assert verify_store(store, open_keyring(store.url)).problems == []


def test_a_model_that_is_not_there_and_a_file_that_cannot_be_are_misuse(
    iris: Iris, capsys: pytest.CaptureFixture[str]
) -> None:
    url = iris[0].url
    assert millrace(["captures", "irsi", "--storage", url]) == 1
    assert "'iris'" in capsys.readouterr().err
    assert millrace(["captures", "iris", "--storage", url, "--export", "out.csv"]) == 2
    assert "wanted a .parquet file" in capsys.readouterr().err
