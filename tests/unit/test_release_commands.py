"""The commands that say which version serves: canary, shadow, promote, rollback, status, history. Each by the real command line."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import Ended
from registries import ARTIFACTS, NAME, Clock, open_with, with_versions

from flows.cli import FAILED, MISUSE, main
from flows.when import read_time
from storage.errors import ConfigError
from storage.model_logs import ModelLogs
from storage.objects import open_store
from storage.registry import Registry, Version
from storage.signing import open_keyring
from tasks.scoring.policy import Policy

NOON = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


@dataclass(frozen=True)
class House:
    """A store with the model `digits`, and the command over it."""

    registry: Registry
    clock: Clock
    run: Callable[..., Ended]

    def canary(self) -> tuple[int, float, Policy] | None:
        found = self.registry.traffic(NAME).canary
        return (found.version.number, found.share, Policy.from_json(found.policy)) if found else None


@pytest.fixture
def house(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> House:
    """Version 1 of four is the champion since `NOON`. The command works in an empty folder."""
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clock, url = Clock(NOON), str(tmp_path / "store")

    def run(*arguments: str) -> Ended:
        code = main([*arguments, "--storage", url])
        return Ended(code, *capfd.readouterr())

    return House(with_versions(url, clock), clock, run)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_canary_begins_with_ten_per_cent_and_the_usual_rules(house: House):
    ended = house.run("canary", NAME, "2")
    assert (ended.code, ended.out) == (0, "digits: canary is version 2, for 10 % of the requests\n")
    assert house.canary() == (2, 0.1, Policy())


def test_a_canarys_rules_are_given_in_per_cent_and_stay_when_its_share_grows(house: House):
    given = ("--share", "5", "--no-automatic", "--slower", "3", "--error-margin", "2", "--slow-margin", "30")
    more = ("--wrong-margin", "4", "--alpha", "5", "--feedback", "required", "--minimum-requests", "9")
    house.run("canary", NAME, "2", *given, *more, "--maximum-hours", "8", "--reason", "Friday")
    policy = Policy(False, 9, 0.02, 3, 0.3, 0.04, 0.05, "required", 8)
    assert house.canary() == (2, 0.05, policy)
    assert house.registry.entries(NAME)[-1].fields["reason"] == "Friday"
    assert house.run("canary", NAME, "--share", "25").code == 0
    assert house.canary() == (2, 0.25, policy)
    house.run("canary", NAME, "2", "--automatic")
    assert house.canary() == (2, 0.25, Policy(True, 9, 0.02, 3, 0.3, 0.04, 0.05, "required", 8))
    house.run("canary", NAME, "3")
    assert house.canary() == (3, 0.1, Policy())


def test_a_canary_is_stopped_without_a_mark_or_rolled_back_with_one(house: House):
    house.run("canary", NAME, "2")
    assert house.run("canary", NAME, "--stop").out == "digits: there is no canary any more\n"
    assert (house.canary(), house.registry.rolled_back(NAME)) == (None, set())
    house.run("canary", NAME, "2")
    ended = house.run("rollback", NAME, "--alias", "canary", "--reason", "odd answers")
    assert ended.out == "digits: version 2 is canary no more, and does not come back by itself\n"
    assert (house.canary(), house.registry.rolled_back(NAME)) == (None, {ARTIFACTS[1]})
    assert house.run("canary", NAME, "--stop").err.count("\n") == 1


def test_a_promotion_without_a_version_is_the_canarys(house: House):
    ended = house.run("promote", NAME)
    assert (ended.code, ended.err.count("\n")) == (MISUSE, 1)
    assert "there is no canary to promote" in ended.err
    house.run("canary", NAME, "3")
    assert house.run("promote", NAME, "--alias", "stable").code == MISUSE
    assert house.run("promote", NAME).out == "digits: champion is version 3\n"
    assert house.canary() is None
    assert house.run("rollback", NAME).out == "digits: champion is version 1 again\n"


def test_a_shadow_is_shown_everything_unless_said_otherwise(house: House):
    assert house.run("shadow", NAME, "2").out == "digits: shadow is version 2, shown 100 % of the requests\n"
    house.run("shadow", NAME, "--share", "20")
    house.run("shadow", NAME, "2", "--reason", "again")  # nothing new
    shadow = house.registry.traffic(NAME).shadow
    assert shadow
    assert (shadow.version.number, shadow.share, shadow.since) == (2, 0.2, 6)
    assert house.run("shadow", NAME, "--stop").code == 0
    assert house.registry.traffic(NAME).shadow is None


@pytest.mark.parametrize("command", [("promote", NAME, "2"), ("rollback", NAME)])
def test_who_moves_what_somebody_else_moved_meanwhile_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
):
    house.registry.promote(NAME, 4)
    looked = Registry.alias

    def and_then_moved(self: Registry, name: str, alias: str) -> Version | None:
        found = looked(self, name, alias)
        house.registry.promote(NAME, 3)
        return found

    monkeypatch.setattr(Registry, "alias", and_then_moved)
    ended = house.run(*command)
    assert (ended.code, ended.out, ended.err.count("\n")) == (FAILED, "", 1)
    assert "found version 3, expected version 4: somebody else moved it" in ended.err
    assert looked(house.registry, NAME, "champion") == house.registry.versions(NAME)[2]


def test_models_marks_canary_and_shadow_with_their_shares(house: House):
    house.run("canary", NAME, "2", "--share", "12.5")
    house.run("shadow", NAME, "3")
    lines = house.run("models", NAME).out.splitlines()
    assert [line.split()[-1] if number == 1 else line.split()[-3:] for number, line in enumerate(lines[1:4], 1)] == [
        "champion",
        ["canary", "12.5", "%"],
        ["shadow", "100", "%"],
    ]
    versions = house.run("models", NAME, "--json").json[NAME]
    assert [version["shares"] for version in versions] == [{}, {"canary": 0.125}, {"shadow": 1.0}, {}]


def test_status_says_who_answers_how_much_since_when_and_by_which_rules(house: House):
    assert "version 1: answers all requests, since 2026-09-21 14:13:20 UTC, promoted [entry 4, key " in house.run("status", NAME).out  # fmt: skip
    house.registry.promote(NAME, 4, alias="stable")
    house.registry.canary(NAME, 2, 0.1, Policy(automatic=False, slower=3.0, maximum_hours=4).to_json(), "Friday")
    house.registry.shadow(NAME, 3)
    text = house.run("status", NAME).out
    assert "champion  version 1: answers 90 % of the requests" in text
    assert "canary    version 2: answers 10 % of the requests, since 2026-09-21 14:13:20 UTC, begun: Friday [" in text
    assert "decided by a person; the service only tells" in text
    assert "withdrawn when undecided after 4 hours" in text
    assert "slow (over 3 times) +20" in text
    assert "shadow    version 3: is shown 100 % of the requests, answers nobody" in text
    assert "stable    version 4" in text
    house.registry.rollback(NAME, "canary")
    assert "rolled back, not to come back by itself: version 2" in house.run("status", NAME).out


def test_status_as_json_has_the_same(house: House):
    house.run("canary", NAME, "2")
    found = house.run("status", NAME, "--json").json
    assert (found["champion"]["version"], found["canary"]["version"], found["shadow"]) == (1, 2, None)
    assert (found["canary"]["share"], found["policy"]) == (0.1, Policy().to_json())
    assert found["champion"]["began"]["key_id"] == house.registry.entries(NAME)[4].key_id
    assert (found["aliases"], found["rolled_back"]) == ({}, [])


def test_history_says_what_served_when_and_why_the_latest_first(house: House):
    house.clock.now += 60
    house.registry.canary(NAME, 2, 0.1)
    house.clock.now += 60
    house.registry.rollback(NAME, "canary", reason="errors: canary 19.4 %", automatic=True)
    lines = house.run("history", NAME).out.splitlines()
    assert lines[0] == NAME
    assert lines[1].startswith(
        "  2026-09-21 14:14:20 UTC – 2026-09-21 14:15:20 UTC  canary    version 2 (10 %): begun ["
    )
    assert lines[2].strip().startswith("rolled back automatically: errors: canary 19.4 % [entry 6, key ")
    assert lines[3].startswith("  2026-09-21 14:13:20 UTC – now                      champion  version 1: promoted [")
    told = house.run("history", NAME, "--json").json["history"]
    assert [(one["alias"], one["from"], one["to"]) for one in told] == [
        ("champion", "2026-09-21T14:13:20.000Z", None),
        ("canary", "2026-09-21T14:14:20.000Z", "2026-09-21T14:15:20.000Z"),
    ]
    assert told[1]["ended"]["automatic"] is True


@pytest.mark.usefixtures("in_berlin")
def test_history_at_a_moment_says_what_served_then(house: House):
    house.clock.now += 60
    house.registry.canary(NAME, 2, 0.1)
    house.clock.now += 60
    house.registry.promote(NAME, 2)
    assert "nothing served" in house.run("history", NAME, "--at", "2026-09-21T14:13Z").out
    for text in ("2026-09-21T14:14:30Z", "2026-09-21T16:14:30", "2026-09-21 16:14:30+02:00"):
        then = house.run("history", NAME, "--at", text).out.splitlines()
        assert then[0] == "digits at 2026-09-21 14:14:30 UTC"
        assert [line.split()[:3] for line in then[1:]] == [["champion", "version", "1,"], ["canary", "version", "2"]]
    found = house.run("history", NAME, "--at", "2026-09-21T14:16Z", "--json").json
    assert (found["at"], [one["version"] for one in found["served"]]) == ("2026-09-21T14:16:00.000Z", [2])
    assert json.dumps(found)


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("16:13", NOON - 20),
        ("16:13:20", NOON),
        ("16:14", NOON + 40 - 86_400),  # yesterday's
        ("14:13Z", NOON - 20),
        ("23:00+14:00", NOON - 18_800),
        ("2026-09-21", NOON - 20 - 16 * 3600 - 13 * 60),
        ("2026-01-21T12:00", 1_768_993_200.0),  # in winter
    ],
)
def test_a_time_is_local_unless_it_says_otherwise_and_a_bare_one_is_the_last(text: str, seconds: float):
    assert read_time(text, NOON) == seconds


@pytest.mark.usefixtures("in_berlin")
def test_of_an_hour_that_comes_twice_the_second_is_the_last():
    noon = datetime(2026, 10, 25, 11, tzinfo=UTC).timestamp()  # at 3:00 that night it was 2:00 again
    assert read_time("02:30", noon) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp()
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC).timestamp()
    assert read_time("02:30", between) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text", ["noon", "", "25:00", "2026-13-01", "14", "2026-09-21T14:13:21Z", "9999-12-31T23:59:59"]
)
def test_what_is_no_time_or_to_come_is_refused(text: str):
    with pytest.raises(ConfigError, match=f"time '{text}': "):
        read_time(text, NOON)


def test_a_version_nobody_promoted_has_a_status_and_no_history(house: House, tmp_path: Path):
    other = open_with(str(tmp_path / "store"))
    other.register("faces", ARTIFACTS[0], ARTIFACTS[0])
    assert "nothing serves yet" in house.run("status", "faces").out
    assert house.run("history", "faces").out == "faces: no version has served yet\n"


RACES: dict[str, tuple[tuple[str, ...], Callable[[Registry], object]]] = {
    "a share and a rollback": (("canary", NAME, "--share", "50"), lambda other: other.rollback(NAME, "canary")),
    "a share and another canary": (("canary", NAME, "--share", "50"), lambda other: other.canary(NAME, 3, 0.2)),
    "two shares": (("canary", NAME, "--share", "50"), lambda other: other.canary(NAME, 2, 0.2)),
    "two canaries": (("canary", NAME, "4"), lambda other: other.canary(NAME, 3, 0.2)),
    "an end and another canary": (("canary", NAME, "--stop"), lambda other: other.canary(NAME, 3, 0.2)),
    "two shadows": (("shadow", NAME, "4"), lambda other: other.shadow(NAME, 3)),
}


@pytest.mark.parametrize("race", RACES)
def test_who_decided_on_what_changed_meanwhile_is_told_and_changes_nothing(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, race: str
):
    command, by_another = RACES[race]
    house.registry.canary(NAME, 2, 0.1)
    other, append, pending = open_with(str(tmp_path / "store")), ModelLogs.append, [by_another]

    def beaten(logs: ModelLogs, *move: Any) -> Any:
        if pending:
            pending.pop()(other)
        return append(logs, *move)

    monkeypatch.setattr(ModelLogs, "append", beaten)
    ended = house.run(*command)
    assert ended.code == FAILED
    assert "somebody else" in ended.err
    assert len(house.registry.entries(NAME)) == 7
    if race == "a share and a rollback":
        assert house.registry.rolled_back(NAME) == {ARTIFACTS[1]}


def test_a_canary_of_earlier_times_is_an_alias_like_any_other(house: House, tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    fields = {"version": 2, "alias": "canary", "reason": "", "automatic": False}
    ModelLogs(store, open_keyring(store.url), house.clock).append(NAME, "promote", lambda _: fields)
    text = house.run("status", NAME).out
    assert "version 1: answers all requests" in text
    assert "canary    version 2, since" in text
    assert house.run("models", NAME).out.splitlines()[2].endswith("  canary")
    assert house.run("canary", NAME, "--stop").code == 0
    assert "canary" not in house.run("status", NAME).out
