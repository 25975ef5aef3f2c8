"""Keys are made, listed, rotated and revoked; each act is audited first, and no secret is kept anywhere."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import environment

from flows.cli import main as millrace
from storage.audit import AUDIT, check_log, record
from storage.errors import ConfigError, NotFound, Untrusted
from storage.objects import open_store
from storage.signing import open_keyring
from tasks.service.keys import Key, check_secret, create_key, main, read_keys, revoke_key, rotate_key, split_token

HOUR = 3600.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return tmp_path / "keys.json"


@pytest.fixture
def store(tmp_path: Path, path: Path) -> str:
    return open_store(str(tmp_path / "store")).url


def id_of(token: str) -> str:
    return token.partition(".")[0]


def made(path: Path, *wishes: Any, **others: Any) -> Key:
    token = create_key(path, *wishes, **others)
    return read_keys(path)[id_of(token)]


def audited(store: str) -> list[str]:
    checked = check_log(open_store(store), open_keyring(store), AUDIT)
    assert checked.problem == ""
    return [entry.action for entry in checked.entries]


def fits(path: Path, token: str) -> bool:
    name, secret = split_token(token) or ("", "")
    return check_secret(read_keys(path).get(name), secret)


def test_a_key_may_do_what_its_scopes_say_and_nothing_else(path: Path):
    key = made(path, ["predict:digits", "feedback:*"])
    asked = [(action, model) for action in ("predict", "feedback", "metrics") for model in ("digits", "iris")]
    allowed = [(action, model) for action, model in asked if key.allows(action, model)]
    assert allowed == [("predict", "digits"), ("feedback", "digits"), ("feedback", "iris")]
    assert not key.allows("metrics")
    assert made(path, ["metrics"]).allows("metrics")


@pytest.mark.parametrize("scope", ["predict", "predict:", "admin", "metrics:digits", "predict:../x", "predict:a b", ""])
def test_a_scope_that_means_nothing_is_refused_and_makes_no_file(path: Path, scope: str):
    with pytest.raises(ConfigError, match="wanted predict:MODEL, feedback:MODEL"):
        create_key(path, [scope])
    assert not path.exists()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"rate": 0.0}, "rate"),
        ({"rate": float("inf")}, "rate"),
        ({"note": "a\nb"}, "note"),
        ({"note": "x" * 201}, "note"),
    ],
)
def test_a_rate_or_note_that_cannot_be_used_is_refused(path: Path, wish: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        create_key(path, ["predict:*"], **wish)


def test_what_a_key_was_made_with_is_kept_and_a_burst_is_two_seconds_worth(path: Path):
    until = datetime(2100, 1, 1, tzinfo=UTC)
    key = made(path, ["predict:*"], until, 50.0, "web shop")
    assert (key.expires, key.rate, key.burst, key.note) == (until.timestamp(), 50.0, 100.0, "web shop")
    assert made(path, ["predict:*"], rate=0.1).burst == 1.0
    assert made(path, ["predict:*"]).burst is None


def test_a_file_from_before_rates_and_notes_is_read_and_written_on(path: Path):
    token = create_key(path, ["predict:iris"])
    entry = json.loads(path.read_text())["keys"][0]
    path.write_text(json.dumps({"keys": [{name: entry[name] for name in ("id", "hash", "scopes", "expires")}]}))
    assert read_keys(path)[id_of(token)].rate is None
    create_key(path, ["predict:*"])
    assert fits(path, token)


@pytest.mark.parametrize("wrong", ['{"scopes": "predict:*"}', '{"rate": -1}', '{"hash": 3}', '{"hash": "md5$x$y"}'])
def test_a_file_with_an_entry_that_cannot_be_used_is_named(path: Path, wrong: str):
    create_key(path, ["predict:*"])
    data = json.loads(path.read_text())
    data["keys"][0] |= json.loads(wrong)
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=f"key file {path}: found .*, wanted"):
        read_keys(path)


def test_a_revoked_key_is_gone_and_the_others_stay(path: Path):
    first, second = create_key(path, ["predict:*"]), create_key(path, ["predict:*"])
    revoke_key(path, id_of(first))
    assert (fits(path, first), fits(path, second)) == (False, True)


def test_an_id_that_is_not_there_names_the_nearest(path: Path):
    token = create_key(path, ["predict:*"])
    for act in (lambda: revoke_key(path, id_of(token)[:-1]), lambda: rotate_key(path, id_of(token)[:-1], HOUR)):
        with pytest.raises(NotFound, match=f"did you mean '{id_of(token)}'"):
            act()


def test_a_rotated_key_has_a_successor_that_may_do_the_same_and_ends_after_the_grace(path: Path):
    old = create_key(path, ["predict:iris"], datetime.now(UTC) + timedelta(days=90), 5.0, "shop")
    new, now = rotate_key(path, id_of(old), HOUR), time.time()
    keys = read_keys(path)
    before, after = keys[id_of(old)], keys[id_of(new)]
    assert fits(path, old)
    assert fits(path, new)
    assert (after.scopes, after.rate, after.note) == (("predict:iris",), 5.0, "shop")
    assert before.expires == pytest.approx(now + HOUR, abs=60)
    assert after.expires == pytest.approx(now + 90 * 24 * HOUR, abs=60)


def test_a_grace_does_not_lengthen_a_life_and_an_expired_key_has_no_successor(path: Path):
    soon = create_key(path, ["predict:*"], datetime.now(UTC) + timedelta(minutes=5))
    rotate_key(path, id_of(soon), 24 * HOUR)
    assert read_keys(path)[id_of(soon)].expires == pytest.approx(time.time() + 300, abs=60)
    past = create_key(path, ["predict:*"], datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(ConfigError, match="expired on"):
        rotate_key(path, id_of(past), HOUR)


CREATE = """
import sys
from pathlib import Path
from tasks.service.keys import create_key
for _ in range(5):
    create_key(Path(sys.argv[1]), ["predict:*"])
"""


def test_of_many_writers_at_once_none_loses_a_key(path: Path):
    writers = [
        subprocess.Popen([sys.executable, "-c", CREATE, str(path)], env=environment(path.parent / "root"))
        for _ in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    assert len(read_keys(path)) == 20
    assert [left.name for left in path.parent.glob(".keys.json.*")] == [".keys.json.lock"]


def test_both_commands_are_one_and_the_secret_is_shown_once(path: Path, store: str, capsys: pytest.CaptureFixture[str]):
    options = ["create", "--file", str(path), "--storage", store, "--scope", "predict:iris", "--rate", "3"]
    assert (main([*options, "--note", "one"]), millrace(["keys", *options, "--note", "two"])) == (0, 0)
    tokens = capsys.readouterr().out.split()
    assert len(tokens) == 2
    assert millrace(["keys", "list", "--file", str(path)]) == 0
    shown = capsys.readouterr().out
    assert main(["list", "--file", str(path), "--json"]) == 0
    told = capsys.readouterr().out
    assert [key["note"] for key in json.loads(told)["keys"]] == ["one", "two"]
    kept = path.read_text() + "".join(file.read_text() for file in Path(store).rglob("*.json"))
    for token in tokens:
        assert id_of(token) in shown
        assert token.partition(".")[2] not in shown + told + kept
    assert not any(key.hash in shown + told for key in read_keys(path).values())


def test_every_act_is_audited(path: Path, store: str, capsys: pytest.CaptureFixture[str]):
    options = ["--file", str(path), "--storage", store]
    main(["create", *options])
    (name,) = read_keys(path)
    main(["rotate", name, *options])
    main(["revoke", name, *options])
    assert audited(store) == ["create-key", "rotate-key", "revoke-key"]
    assert capsys.readouterr().err.count("not audited") == 0


def test_what_cannot_be_audited_is_not_done(path: Path, store: str, capsys: pytest.CaptureFixture[str]):
    options = ["--file", str(path), "--storage", store]
    assert main(["create", *options]) == 0
    (name,), before = read_keys(path), path.read_bytes()
    last = Path(store) / AUDIT.key(0)
    last.write_bytes(last.read_bytes().replace(b"create-key", b"creep-key"))
    for act in (["create"], ["revoke", name], ["rotate", name]):
        assert main([*act, *options]) == 1
    assert "entry 0 of the audit log, " in capsys.readouterr().err
    assert path.read_bytes() == before


def test_without_any_store_the_command_says_that_it_is_not_audited(path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["create", "--file", str(path)]) == 0
    assert "not audited: there is no store" in capsys.readouterr().err
    assert main(["create", "--file", str(path), "--storage", str(path.parent / "nowhere")]) == 1
    assert "nowhere: there is no such folder" in capsys.readouterr().err
    assert len(read_keys(path)) == 1


def test_an_act_that_finds_its_log_cut_off_is_refused(path: Path, store: str):
    for number in range(3):
        record(store, "create-key", {"number": number})
    (Path(store) / AUDIT.key(2)).unlink()
    with pytest.raises(Untrusted, match=r"entry 2 of the audit log, .* is gone: the end of the log was taken away"):
        record(store, "create-key", {"number": 3})
