"""Requests are captured beside the answering: what arrives in the store, what must not, what is dropped, and what a kill leaves."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from commands import gone, wait_for
from handmade import ITEMS, Running, iris_store, serving

from storage.errors import ConfigError
from storage.objects import ObjectStore
from tasks.captures.joining import summaries
from tasks.captures.objects import get_table
from tasks.captures.places import captured, unknown_labels
from tasks.captures.redaction import Redaction
from tasks.service.keys import create_key
from tasks.service.recording import Batch, Recording
from tasks.service.settings import CaptureSettings, load_settings
from tasks.service.tally import Tally


def rows(store: ObjectStore, labels: bool = False) -> list[dict[str, Any]]:
    """What is captured of the irises, in the order of the requests."""
    tables = [get_table(store, one.key) for one in captured(store, "iris") if one.place.labels == labels]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: (row["time"], row["item"]))


def settings(folder: Path, **capture: Any) -> str:
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump({"workers": 1, "capture": {"share": 1.0, "seconds": 0.1, **capture}}))
    return str(path)


def ask(service: Running, *items: Any, **headers: str) -> Any:
    response = service.client.post(
        "/predict", json={"input_data": list(items)}, headers={k: v.encode() for k, v in headers.items()}
    )
    assert response.status_code == 200
    return response.json()["prediction"]


def stop(service: Running) -> None:
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=30) == 0


def recorders(service: Running) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children()
    return [child for child in children if "tasks.service.recorder" in child.cmdline()]


def outcome(service: Running, name: str) -> float:
    text = service.client.get("/metrics").text
    lines = [
        line for line in text.splitlines() if line.startswith(f'millrace_captured_total{{model="iris",outcome="{name}"')
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def bytes_of(store: ObjectStore) -> bytes:
    """Every byte of what is captured, and every value of its Parquet."""
    files = [path for path in Path(store.url, "captures").rglob("*") if path.is_file()]
    values = [str(pq.read_table(path).to_pylist()) for path in files if path.suffix == ".parquet"]
    return b"".join(path.read_bytes() for path in files) + "".join(values).encode()


def test_all_that_was_asked_and_answered_is_in_the_store_when_the_service_has_ended(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--capture", "1", "--workers", "2") as service:
        answers = [
            ask(service, ITEMS[i], list(ITEMS[i + 50].values()), **{"X-Subject": f"José {i}"}) for i in range(40)
        ]
        stop(service)
    found = rows(store)
    assert [json.loads(row["input"]) for row in found] == [
        item for i in range(40) for item in (ITEMS[i], ITEMS[i + 50])
    ]
    assert [json.loads(row["prediction"]) for row in found] == [one for answer in answers for one in answer]
    assert [row["subject"] for row in found[::2]] == [f"José {i}" for i in range(40)]
    assert {row["role"] for row in found} == {"champion"}
    assert len({row["request_id"] for row in found}) == 40
    assert store.get("captures/iris/version=1/reference.json") == b"{}"


def test_without_capture_nothing_is_written_and_no_recorder_runs(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--settings", settings(tmp_path, share=0.0)) as service:
        answer = service.client.post("/predict", json={"input_data": ITEMS[:1]})
        told = {"request_id": answer.headers["x-request-id"], "labels": ["setosa"]}
        assert service.client.post("/feedback", json=told).status_code == 200
        assert recorders(service) == []
        stop(service)
    assert list(store.list("captures")) == []


def test_a_share_of_the_requests_is_captured(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--settings", settings(tmp_path, share=0.5)) as service:
        for _ in range(100):
            ask(service, ITEMS[0])
        stop(service)
    assert 20 < len(rows(store)) < 80  # 6 standard deviations


def test_what_is_to_be_redacted_leaves_no_trace_in_the_store(tmp_path: Path) -> None:
    """By column however the item is sent, the subject, the target with its labels, and by pattern."""
    store, _ = iris_store(tmp_path)
    redact = {"redact": ["sepal_length", "subject", "species"], "patterns": ["virgi.*"]}
    secret = {**ITEMS[0], "sepal_length": 5.4321}
    with serving(store, tmp_path, "--settings", settings(tmp_path, **redact)) as service:
        answer = service.client.post(
            "/predict", json={"input_data": [secret, list(secret.values())]}, headers={"X-Subject": "ann@example.org"}
        )
        for request_id in (answer.headers["x-request-id"], "of-another-service"):
            told = {"request_id": request_id, "labels": ["setosa", "virginica"]}
            assert service.client.post("/feedback", json=told).is_success
        stop(service)
    found, everything = rows(store), bytes_of(store)
    assert [json.loads(row["input"]) for row in found] == [{**ITEMS[0], "sepal_length": None}] * 2
    assert len(rows(store, labels=True)) == 2
    assert len(list(unknown_labels(store))) == 1
    for secret in (b"5.4321", b"ann@", b"setosa", b"virginica"):
        assert secret not in everything


def test_what_lies_deep_in_lists_and_objects_is_redacted_too() -> None:
    keep = Redaction(["name"], [r"\d{4}"]).value
    value = {"a": [{"name": "Ann", "b": ["card 1234", [{"name": 1}]]}], "name": ["Ann"]}
    assert keep(value) == {"a": [{"name": None, "b": ["card [redacted]", [{"name": None}]]}], "name": None}


def test_what_a_buffer_cannot_hold_is_dropped_and_counted(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--settings", settings(tmp_path, buffer=1)) as service:
        for _ in range(30):
            ask(service, ITEMS[0])
        dropped, taken = outcome(service, "dropped"), outcome(service, "taken")
        stop(service)
    assert dropped + taken == 30
    assert dropped > 0
    assert len(rows(store)) == taken


def test_what_cannot_be_written_is_dropped_and_counted_and_answers_go_on(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    Path(store.url, "captures").write_text("a file where a folder should be")
    with serving(store, tmp_path, "--settings", settings(tmp_path)) as service:
        ask(service, ITEMS[0])
        wait_for(lambda: outcome(service, "dropped") == 1, "the drop")
        ask(service, ITEMS[0])
        assert "are dropped" in service.log.read_text()


def test_a_recorder_that_is_killed_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--settings", settings(tmp_path, seconds=30)) as service:
        (first,) = wait_for(lambda: recorders(service), "the recorder")
        for number in range(20):
            ask(service, ITEMS[number])
        wait_for(lambda: outcome(service, "taken") == 20, "the requests")
        first.kill()
        wait_for(lambda: gone(first.pid), "its end")
        ask(service, ITEMS[20])
        wait_for(lambda: [one for one in recorders(service) if one.pid != first.pid], "another recorder")
        stop(service)
    assert [json.loads(row["input"]) for row in rows(store)] == ITEMS[:21]


@pytest.mark.parametrize("everything", [False, True], ids=["the supervisor", "all its processes"])
def test_a_service_that_is_killed_leaves_only_whole_files_and_no_process(tmp_path: Path, everything: bool) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--settings", settings(tmp_path, seconds=0.01)) as service:
        wait_for(lambda: recorders(service), "the recorder")
        children = psutil.Process(service.process.pid).children()
        ask(service, *ITEMS)
        wait_for(lambda: rows(store), "a file")
        ask(service, *ITEMS)
        for process in [service.process, *(children if everything else ())]:
            process.kill()
        wait_for(lambda: all(gone(child.pid) for child in children), "their end")
    assert len(rows(store)) in (len(ITEMS), 2 * len(ITEMS))
    assert list(Path(tmp_path, "root").rglob("*.parquet*")) == []


def test_labels_join_the_rows_of_their_request_also_after_a_restart(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    ids = []
    with serving(store, tmp_path, "--settings", settings(tmp_path)) as service:
        for number in range(3):
            body = {"input_data": ITEMS[number : number + 2]}
            ids.append(service.client.post("/predict", json=body).headers["x-request-id"])
        told = service.client.post("/feedback", json={"request_id": ids[0], "labels": ["setosa", "virginica"]})
        assert (told.status_code, told.json()) == (200, {"model": "iris", "version": 1})
        stop(service)
    with serving(store, tmp_path, "--settings", settings(tmp_path)) as service:
        told = service.client.post("/feedback", json={"request_id": ids[1], "labels": ["virginica", "setosa"]})
        assert (told.status_code, told.json()["kept"]) == (202, True)
        stop(service)
    (summary,) = summaries(store, "iris")
    assert (summary.rows, summary.labelled) == (6, 4)


@pytest.mark.parametrize("label", ["x" * 1001, 10**400], ids=["long", "huge"])
def test_a_label_that_is_too_large_is_refused(service: Running, label: Any) -> None:
    told = service.client.post("/feedback", json={"request_id": "unknown", "labels": [label]})
    assert told.status_code == 422
    assert "labels: found" in told.json()["error"]["message"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path) as running:
        yield running


def test_labels_for_an_unknown_request_count_for_the_models_that_the_key_may_tell(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    keys = tmp_path / "keys.json"
    some, none = create_key(keys, ["feedback:iris"]), create_key(keys, ["predict:*"])
    with serving(store, tmp_path, "--keys", str(keys), "--settings", settings(tmp_path, share=0.0)) as service:
        body = {"request_id": "unknown", "labels": ["setosa"]}
        codes = [service.client.post("/feedback", json=body, headers={"x-api-key": key}) for key in (some, none)]
        assert [answer.status_code for answer in codes] == [202, 404]
        stop(service)
    (one,) = unknown_labels(store)
    assert get_table(store, one.key)["models"].to_pylist() == ['["iris"]']


def test_batches_above_the_bound_are_dropped_and_counted() -> None:
    tally = Tally()
    recording = Recording("nowhere", CaptureSettings(buffer_mib=0.001), tally)
    assert not recording.offer(Batch([b"x" * 2000], [], {"iris": 3}))
    assert dict(tally.matching("millrace_captured")) == {("iris", "dropped"): 3}


def test_what_no_recorder_can_be_started_for_is_dropped_and_counted(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    tally = Tally()

    async def record() -> None:
        recording = Recording(str(tmp_path / "store"), CaptureSettings(), tally)
        assert recording.offer(Batch([b"x"], [], {"iris": 1}))
        await recording.stop(30)

    asyncio.run(record())
    assert dict(tally.matching("millrace_captured")) == {("iris", "dropped"): 1}
    assert "the recorder cannot begin" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"patterns": ["fine", "("]}, r"capture.patterns: found '\('"),
        ({"share": 1.5}, "capture.share"),
        ({"buffer": 0}, "capture.buffer"),
        ({"seconds": float("nan")}, "capture.seconds"),
        ({"keep_days": -1.0}, "capture.keep_days"),
        ({"redakt": ["a"]}, "did you mean 'redact'"),
    ],
)
def test_a_setting_of_the_capture_that_cannot_be_used_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(None, {"capture": wrong})
