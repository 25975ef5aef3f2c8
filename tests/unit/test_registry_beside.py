"""Canary and shadow in the registry: begun, changed, ended, each by one entry; what is refused; who wins a race."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from garbage_stores import HOUR, keys
from racing import start_together
from registries import ARTIFACTS, NAME, Clock, open_with, with_versions

from storage.clock import store_now
from storage.errors import ConfigError, Conflict, NotFound
from storage.garbage import collect
from storage.manifests import put_files
from storage.marking import Retention
from storage.model_logs import ModelLogs
from storage.objects import open_store
from storage.registry import Registry, open_registry
from storage.signing import open_keyring
from storage.verification import verify_store

PROMOTER = """
import sys
from storage.errors import Conflict
from storage.registry import open_registry
registry = open_registry(sys.argv[1])
print('ready', flush=True)
sys.stdin.readline()
try:
    registry.promote("digits", int(sys.argv[2]), expected=1)
    print("won")
except Conflict as error:
    print(error)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def registry(url: str) -> Registry:
    return with_versions(url)


def numbers(registry: Registry) -> tuple[int | None, int | None, int | None]:
    """The versions that are champion, canary and shadow."""
    found = registry.traffic(NAME)
    canary = found.canary.version.number if found.canary else None
    shadow = found.shadow.version.number if found.shadow else None
    return found.champion.number if found.champion else None, canary, shadow


def test_canary_and_shadow_stand_beside_the_champion_by_one_entry_each(registry: Registry, url: str):
    registry.canary(NAME, 2, 0.1, {"alpha": 0.05})
    registry.shadow(NAME, 3)
    assert len(registry.entries(NAME)) == 7
    traffic = open_with(url).traffic(NAME)
    assert numbers(registry) == (1, 2, 3)
    assert traffic.canary
    assert (traffic.canary.share, traffic.canary.policy, traffic.canary.since) == (0.1, {"alpha": 0.05}, 5)
    assert traffic.canary.salt == registry.entries(NAME)[5].digest
    assert traffic.shadow
    assert (traffic.shadow.share, traffic.shadow.since) == (1.0, 6)
    assert registry.aliases(NAME) == {"canary": 2, "champion": 1, "shadow": 3}


def test_another_alias_has_nothing_beside_it_and_an_unknown_model_no_traffic(registry: Registry):
    registry.promote(NAME, 4, alias="stable")
    registry.canary(NAME, 2, 0.1)
    stable = registry.traffic(NAME, "stable")
    assert stable.champion
    assert (stable.champion.number, stable.canary) == (4, None)
    assert registry.traffic("faces") == registry.traffic(NAME, "absent")
    assert registry.traffic("faces").champion is None


def test_a_greater_share_keeps_who_was_assigned_and_another_version_draws_anew(registry: Registry):
    registry.canary(NAME, 2, 0.1)
    first = registry.traffic(NAME).canary
    registry.canary(NAME, 2, 0.1)
    assert registry.traffic(NAME).canary == first
    registry.canary(NAME, 2, 0.5)
    second = registry.traffic(NAME).canary
    registry.canary(NAME, 3, 0.5)
    third = registry.traffic(NAME).canary
    assert first
    assert second
    assert third
    assert (second.salt, second.since) == (first.salt, 6)
    assert third.salt != first.salt
    assert numbers(registry) == (1, 3, None)
    assert registry.rolled_back(NAME) == set()
    registry.withdraw(NAME, "canary")
    registry.canary(NAME, 2, 0.1)
    again = registry.traffic(NAME).canary
    assert again
    assert again.salt not in (first.salt, third.salt)


def test_what_becomes_the_champion_is_canary_or_shadow_no_more_by_the_same_entry(registry: Registry):
    registry.canary(NAME, 2, 0.1)
    registry.shadow(NAME, 3)
    registry.promote(NAME, 2)
    assert numbers(registry) == (2, None, 3)
    registry.promote(NAME, 3)
    assert numbers(registry) == (3, None, None)
    assert [entry.action for entry in registry.entries(NAME)[5:]] == ["canary", "shadow", "promote", "promote"]
    registry.canary(NAME, 2, 0.1)
    registry.rollback(NAME)
    assert numbers(registry) == (2, None, None)


def test_a_shadow_that_becomes_the_canary_is_shown_nothing_more(registry: Registry):
    registry.shadow(NAME, 2, 0.5)
    registry.canary(NAME, 2, 0.1)
    assert numbers(registry) == (1, 2, None)
    with pytest.raises(Conflict, match=r"version 2 .* is the canary; first millrace canary digits --stop"):
        registry.shadow(NAME, 2)


def test_a_canary_outlives_another_promotion(registry: Registry):
    registry.canary(NAME, 2, 0.1)
    registry.promote(NAME, 3)
    assert numbers(registry) == (3, 2, None)


def test_withdrawn_it_has_no_mark_and_rolled_back_it_has_one(registry: Registry):
    registry.canary(NAME, 2, 0.1)
    registry.withdraw(NAME, "canary", reason="undecided")
    assert (numbers(registry), registry.rolled_back(NAME)) == ((1, None, None), set())
    registry.canary(NAME, 2, 0.1, automatic=True)
    assert registry.rollback(NAME, "canary", reason="errors", automatic=True) is None
    assert (numbers(registry), registry.rolled_back(NAME)) == ((1, None, None), {ARTIFACTS[1]})
    entry = registry.entries(NAME)[-1]
    assert (entry.action, entry.fields["left"], entry.fields["reason"]) == ("rollback", 2, "errors")
    assert entry.fields["automatic"] is True


def test_a_canary_that_was_rolled_back_comes_back_only_by_hand(registry: Registry):
    registry.canary(NAME, 2, 0.1)
    registry.rollback(NAME, "canary")
    for again in (
        registry.promote,
        lambda name, version, automatic: registry.canary(name, version, 0.1, automatic=automatic),
    ):
        with pytest.raises(Conflict, match=r"version 2 .* was rolled back and does not come back by itself"):
            again(NAME, 2, automatic=True)
    registry.shadow(NAME, 2)
    assert registry.rolled_back(NAME) == {ARTIFACTS[1]}  # a shadow answers nobody
    registry.canary(NAME, 2, 0.1)
    assert registry.rolled_back(NAME) == set()


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_a_canarys_share_lies_between_nothing_and_everything(registry: Registry, share: float):
    with pytest.raises(ConfigError, match=r"share of the canary: found .* wanted above 0 % and below 100 %"):
        registry.canary(NAME, 2, share)
    assert len(registry.entries(NAME)) == 5


def test_what_makes_no_sense_is_refused_with_the_next_step(registry: Registry, url: str):
    with pytest.raises(Conflict, match="version 1 of model 'digits' is the champion"):
        registry.canary(NAME, 1, 0.1)
    with pytest.raises(Conflict, match="version 1 of model 'digits' is the champion"):
        registry.shadow(NAME, 1)
    with pytest.raises(NotFound, match=r"found versions \[1, 2, 3, 4\], wanted 9; millrace models digits"):
        registry.canary(NAME, 9, 0.1)
    with pytest.raises(NotFound, match="did you mean 'digits'"):
        registry.shadow("digit", 2)
    with pytest.raises(NotFound, match="has no shadow now; millrace status digits"):
        registry.withdraw(NAME, "shadow")
    with pytest.raises(NotFound, match="has no canary now"):
        registry.rollback(NAME, "canary")
    with pytest.raises(ConfigError, match="millrace canary digits 2"):
        registry.promote(NAME, 2, alias="canary")
    with pytest.raises(ConfigError, match="millrace shadow digits --stop"):
        registry.rollback(NAME, "shadow")
    with pytest.raises(ConfigError, match="millrace rollback digits --alias champion"):
        registry.withdraw(NAME, "champion")
    registry.register("faces", ARTIFACTS[0], ARTIFACTS[0])
    with pytest.raises(NotFound, match=r"'faces' has no champion .* millrace promote faces VERSION"):
        registry.canary("faces", 1, 0.1)


def test_who_decides_on_a_canary_that_changed_since_is_told(registry: Registry):
    registry.canary(NAME, 2, 0.1)
    seen = registry.traffic(NAME).canary
    assert seen
    registry.canary(NAME, 2, 0.1, {"automatic": False})  # by a person, meanwhile
    decisions = (
        lambda: registry.promote(NAME, 2, expected=1, automatic=True, trial=seen.since),
        lambda: registry.rollback(NAME, "canary", expected=2, automatic=True, trial=seen.since),
        lambda: registry.withdraw(NAME, "canary", automatic=True, trial=seen.since),
    )
    for decide in decisions:
        with pytest.raises(Conflict, match="found that of entry 6, expected that of entry 5: somebody else"):
            decide()
    registry.withdraw(NAME, "canary")
    for decide in decisions:
        with pytest.raises(Conflict, match="somebody else"):
            decide()
    assert numbers(registry) == (1, None, None)


def test_a_second_rollback_of_what_one_person_saw_is_a_conflict(registry: Registry):
    for version in (2, 3):
        registry.promote(NAME, version)
    assert registry.rollback(NAME, expected=3)
    with pytest.raises(Conflict, match="found version 2, expected version 3: somebody else moved it"):
        registry.rollback(NAME, expected=3)
    assert numbers(registry)[0] == 2


def test_of_services_that_decide_at_once_one_moves_and_the_others_are_told(registry: Registry, url: str):
    registry.canary(NAME, 2, 0.1)
    seen = registry.traffic(NAME).canary
    assert seen

    def decide(number: int) -> str:
        mine = open_registry(url)
        try:
            if number % 2:
                mine.promote(NAME, 2, expected=1, trial=seen.since, automatic=True)
            else:
                mine.rollback(NAME, "canary", expected=2, trial=seen.since, automatic=True)
        except Conflict as conflict:
            return str(conflict)
        return "moved"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(decide, range(8)))
    assert [one for one in said if "somebody else" not in one] == ["moved"]
    assert len(registry.entries(NAME)) == 7
    champion, canary, _ = numbers(registry)
    assert (champion == 2) != (ARTIFACTS[1] in registry.rolled_back(NAME))
    assert canary is None


def test_of_racing_promoters_in_processes_of_their_own_one_wins(registry: Registry, url: str):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTER, url, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in (2, 3, 4, 2, 3, 4)
    ]
    start_together(racers)
    said = [racer.communicate(timeout=120)[0].strip() for racer in racers]
    assert said.count("won") == 1
    assert all("expected version 1: somebody else moved it" in one for one in said if one != "won")
    assert numbers(registry)[0] == (2, 3, 4, 2, 3, 4)[said.index("won")]
    assert len(registry.entries(NAME)) == 6


def test_a_log_of_earlier_times_with_a_promoted_canary_stays_readable(registry: Registry, url: str):
    store = open_store(url)
    earlier = ModelLogs(store, open_keyring(url), Clock())
    for version in (2, 3):
        earlier.append(NAME, "promote", lambda _, version=version: {"version": version, "alias": "canary", "reason": "", "automatic": False})  # fmt: skip
    earlier.append(NAME, "rollback", lambda _: {"version": 2, "alias": "canary", "left": 3})
    assert registry.aliases(NAME) == {"canary": 2, "champion": 1}
    assert (registry.traffic(NAME).canary, registry.rolled_back(NAME)) == (None, {ARTIFACTS[2]})
    assert [tenure.version.number for tenure in registry.history(NAME) if tenure.alias == "canary"] == [2, 3, 2]
    registry.canary(NAME, 4, 0.1)
    assert numbers(registry) == (1, 4, None)
    registry.rollback(NAME, "canary")
    assert registry.aliases(NAME) == {"champion": 1}


def test_what_is_tried_is_kept_when_garbage_goes_and_its_entries_are_found_whole(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    registry = open_registry(store.url)
    for number in range(3):
        digest = put_files(store, "model", {"weights.bin": f"weights {number}".encode()}, {})
        registry.register(NAME, digest, digest)
    registry.promote(NAME, 1)
    registry.canary(NAME, 2, 0.1)
    registry.shadow(NAME, 3)
    registry.rollback(NAME, "canary")
    registry.withdraw(NAME, "shadow")
    before = keys(store, "manifests") | keys(store, "blobs")
    collect(store, open_keyring(store.url), HOUR, True, Retention(), lambda: None, lambda it: store_now(it) + 2 * HOUR)
    assert keys(store, "manifests") | keys(store, "blobs") == before
    assert verify_store(store, open_keyring(store.url)).problems == []
