"""The audit log: signed and chained; whatever is done to it is found and named. `millrace audit` lists it with the models' logs."""

import json
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.cli import main
from storage.audit import AUDIT, Checked, check_log, record
from storage.entries import entry_key, model_log, seal
from storage.errors import ConfigError
from storage.objects import ObjectStore, open_store
from storage.registry import open_registry
from storage.signing import Keyring, open_keyring
from storage.verification import verify_store

A, B = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("MILLRACE_ACTOR", "ada@desk")
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def acts(store: ObjectStore) -> ObjectStore:
    """A store with three acts in its log."""
    for number in range(3):
        record(store.url, "start-service", {"model": "digits", "port": number})
    return store


def checked(store: ObjectStore) -> Checked:
    return check_log(store, open_keyring(store.url), AUDIT)


def test_an_act_is_kept_with_what_who_and_when(acts: ObjectStore):
    entries = checked(acts).entries
    assert [entry.fields for entry in entries] == [
        {"model": "digits", "port": number, "who": "ada@desk"} for number in range(3)
    ]
    assert {entry.key_id for entry in entries} == {open_keyring(acts.url).signer()}
    assert [entry.previous for entry in entries] == ["", entries[0].digest, entries[1].digest]


def test_without_a_name_given_it_is_the_user_and_machine(store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MILLRACE_ACTOR")
    monkeypatch.setenv("LOGNAME", "grace")
    assert record(store.url, "stop-service", {}).fields["who"].startswith("grace@")


@pytest.mark.parametrize(("action", "fields"), [("Stop", {}), ("", {}), ("stop", {"time": 1}), ("stop", {"who": "me"})])
def test_an_act_that_would_hide_what_an_entry_says_is_refused(store: ObjectStore, action: str, fields: dict):
    with pytest.raises(ConfigError, match="audit of"):
        record(store.url, action, fields)


def test_of_acts_at_the_same_moment_each_has_its_place(store: ObjectStore):
    open_keyring(store.url).sign(b"")  # the key is there before the race
    start = threading.Barrier(8)

    def act(number: int) -> int:
        start.wait()
        return record(store.url, "start-service", {"number": number}).index

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(act, range(8))) == list(range(8))
    assert {entry.fields["number"] for entry in checked(store).entries} == set(range(8))


def change(store: ObjectStore) -> None:
    content = store.get(AUDIT.key(1))
    store.put(AUDIT.key(1), content.replace(b"digits", b"figits"))


def remove(store: ObjectStore) -> None:
    store.delete(AUDIT.key(1))


def swap(store: ObjectStore) -> None:
    one, two = store.get(AUDIT.key(1)), store.get(AUDIT.key(2))
    store.put(AUDIT.key(1), two)
    store.put(AUDIT.key(2), one)


def move_in_from_a_model(store: ObjectStore) -> None:
    open_registry(store.url).register("audit", A, A)
    store.put(AUDIT.key(0), store.get(entry_key("audit", 0)))


def take_the_end(store: ObjectStore) -> None:
    store.delete(AUDIT.key(2))


def take_all(store: ObjectStore) -> None:
    for number in range(3):
        store.delete(AUDIT.key(number))


DAMAGES: list[tuple[Callable[[ObjectStore], None], str]] = [
    (change, "entry 1 of the audit log: the signature .* does not fit"),
    (remove, "entry 1 of the audit log is missing"),
    (swap, "entry 1 of the audit log: found one that was signed as entry 2 .* rearranged"),
    (move_in_from_a_model, "entry 0 of the audit log: found one that was signed as entry 0 of model 'audit'"),
    (take_the_end, "entry 2 of the audit log, .* is gone: the end of the log was taken away"),
    (take_all, "entry 2 of the audit log, .* is gone"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_whatever_is_done_to_the_log_is_found_and_named(
    acts: ObjectStore, damage: Callable[[ObjectStore], None], said: str, capsys: pytest.CaptureFixture[str]
):
    damage(acts)
    assert main(["audit", "--storage", acts.url]) == 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("BROKEN")]
    assert re.search(said, line)
    problems = verify_store(acts, open_keyring(acts.url)).problems
    assert AUDIT.folder in [problem.key for problem in problems]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_rollback_that_was_taken_out_of_a_models_log_is_missed_also_after_another_move(
    store: ObjectStore, goes_on: bool, capsys: pytest.CaptureFixture[str]
):
    registry = open_registry(store.url)
    for digest in (A, B):
        registry.register("digits", digest, digest)
        registry.promote("digits", registry.versions("digits")[-1].number)
    registry.rollback("digits")
    store.delete(entry_key("digits", 4))
    if goes_on:
        open_registry(store.url).promote("digits", 1)
    assert main(["audit", "--storage", store.url]) == 1
    assert re.search("BROKEN  entry 4 of model 'digits', .* is (gone|another now)", capsys.readouterr().out)


def test_an_entry_by_a_signer_who_is_not_trusted_is_named(acts: ObjectStore):
    theirs = Keyring(Path(f"{acts.url}-theirs"))
    theirs.trusted_folder.mkdir(parents=True)
    (theirs.trusted_folder / "us.pub").write_bytes((open_keyring(acts.url).folder / "signing.pub").read_bytes())
    content = json.loads(acts.get(AUDIT.key(2)))["body"] | {"index": 3, "previous": checked(acts).entries[-1].digest}
    acts.put(AUDIT.key(3), seal(theirs, content))
    found = checked(acts)
    assert f"entry 3 of the audit log: signed by key {theirs.signer()}, which is not trusted here" in found.problem
    assert len(found.entries) == 3


def test_a_log_put_in_the_place_of_the_one_that_was_seen_is_noticed(acts: ObjectStore, tmp_path: Path):
    folder = Path(acts.url)
    shutil.rmtree(folder / "audit")
    twin = tmp_path / "elsewhere" / "store"
    shutil.copytree(open_keyring(acts.url).folder, tmp_path / "elsewhere" / "store-keys")
    for _ in range(4):
        record(str(twin), "start-service", {})
    shutil.copytree(twin / "audit", folder / "audit")
    assert "entry 2 of the audit log, written" in checked(acts).problem
    assert "is another now: the log was replaced" in checked(acts).problem


def test_a_machine_that_never_saw_the_log_raises_no_alarm(acts: ObjectStore):
    shutil.rmtree(open_keyring(acts.url).folder / "seen")
    acts.delete(AUDIT.key(2))
    assert checked(acts).problem == ""


def test_a_witness_that_cannot_be_read_or_written_raises_no_alarm(acts: ObjectStore):
    seen = open_keyring(acts.url).folder / "seen"
    for file in seen.iterdir():
        file.write_text("{")
    assert checked(acts).problem == ""
    shutil.rmtree(seen)
    seen.write_text("no folder")
    assert checked(acts).problem == ""
    assert record(acts.url, "stop-service", {}).index == 3


def released(store: ObjectStore) -> None:
    registry = open_registry(store.url)
    for artifact in (A, B):
        registry.promote("digits", registry.register("digits", artifact, artifact), reason="by the gate")
    registry.rollback("digits")
    registry.register("iris", A, A)


def told(capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    assert main(["audit", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_list_has_acts_and_releases_in_the_order_of_their_times(
    acts: ObjectStore, capsys: pytest.CaptureFixture[str]
):
    released(acts)
    record(acts.url, "stop-service", {"model": "iris"})
    report = told(capsys, "--storage", acts.url)
    listed = [(act["model"], act["action"]) for act in report["acts"]]
    moves = ["register", "promote", "register", "promote", "rollback"]
    digits = [("digits", action) for action in ["start-service"] * 3 + moves]
    assert listed == [*digits, ("iris", "register"), ("iris", "stop-service")]
    assert report["whole"] is True
    assert [log["entries"] for log in report["logs"]] == [4, 5, 1]
    assert told(capsys, "--storage", acts.url, "--model", "iris")["acts"] == report["acts"][-2:]
    assert told(capsys, "--storage", acts.url, "--since", datetime.now(UTC).isoformat())["acts"] == []
    assert len(told(capsys, "--storage", acts.url, "--since", "2020-01-01T12:00")["acts"]) == 10
    assert main(["audit", "--storage", acts.url]) == 0
    out = capsys.readouterr().out
    assert out.endswith("10 entries in 3 logs: every chain is whole\n")
    assert "digits  promote" in out
    assert "(by ada@desk, signed " in out


def test_the_end_of_a_models_log_taken_away_is_noticed_by_who_listed_it(
    store: ObjectStore, capsys: pytest.CaptureFixture[str]
):
    released(store)
    told(capsys, "--storage", store.url)
    store.delete(model_log("digits").key(4))
    assert main(["audit", "--storage", store.url]) == 1
    assert "BROKEN  entry 4 of model 'digits', written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [(("--since", "yesterday"), 2, "time 'yesterday': wanted"), (("--model", "digit"), 1, "did you mean 'digits'?")],
)
def test_a_mistake_in_the_command_is_named(
    store: ObjectStore, options: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
):
    released(store)
    assert main(["audit", "--storage", store.url, *options]) == code
    assert said in capsys.readouterr().err
