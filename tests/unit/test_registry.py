"""The registry: an append-only, signed log; racing writers; promotion and rollback."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from racing import start_together

from storage.entries import entry_key
from storage.errors import ConfigError, Conflict, NotFound, Untrusted
from storage.objects import ObjectStore, open_store
from storage.registry import Registry, open_registry
from storage.signing import Keyring, open_keyring

A, B, C = "a" * 64, "b" * 64, "c" * 64
REGISTRAR = """
import sys
from storage.registry import open_registry
registry = open_registry(sys.argv[1])
print('ready', flush=True)
sys.stdin.readline()
print([registry.register("digits", f"{int(sys.argv[2]) * 5 + n:064x}", "0" * 64) for n in range(5)])
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(url: str) -> ObjectStore:
    return open_store(url)


@pytest.fixture
def registry(url: str) -> Registry:
    """A registry with versions 1 (A), 2 (B), 3 (C) of `digits`."""
    registry = open_registry(url)
    for artifact in (A, B, C):
        registry.register("digits", artifact, artifact)
    return registry


def champion(registry: Registry) -> int | None:
    version = registry.alias("digits", "champion")
    return version.number if version else None


def test_versions_are_numbered_from_one_and_an_artifact_keeps_its_number(registry: Registry):
    assert [(v.number, v.artifact) for v in registry.versions("digits")] == [(1, A), (2, B), (3, C)]
    assert registry.register("digits", B, "d" * 64) == 2
    assert len(registry.entries("digits")) == 3
    assert registry.names() == ["digits"]


def test_an_unknown_model_has_nothing_and_its_nearest_name_is_told(registry: Registry):
    assert registry.alias("digit", "champion") is None
    assert registry.rolled_back("digit") == set()
    assert registry.entries("digit") == []
    with pytest.raises(NotFound, match=r"model 'digit' .* did you mean 'digits'"):
        registry.versions("digit")
    with pytest.raises(NotFound, match="did you mean 'digits'"):
        registry.promote("digit", 1)
    with pytest.raises(NotFound, match=r"found versions \[1, 2, 3\], wanted 4"):
        registry.promote("digits", 4)


@pytest.mark.parametrize("name", ["", "Digits", "../x", "a/b", "-a", "a" * 65])
def test_a_name_that_could_leave_its_folder_is_refused(registry: Registry, name: str):
    with pytest.raises(ConfigError, match="model name"):
        registry.register(name, A, A)


def test_an_alias_is_what_was_promoted_last(registry: Registry):
    assert champion(registry) is None
    registry.promote("digits", 1)
    registry.promote("digits", 3, reason="better")
    registry.promote("digits", 2, alias="stable")
    assert champion(registry) == 3
    assert registry.aliases("digits") == {"champion": 3, "stable": 2}


def test_promoting_what_holds_the_alias_writes_nothing(registry: Registry):
    registry.promote("digits", 1)
    entries = registry.entries("digits")
    registry.promote("digits", 1)
    assert registry.entries("digits") == entries


def test_a_promotion_decided_on_an_alias_that_moved_is_a_conflict(registry: Registry):
    registry.promote("digits", 1, expected=None)
    with pytest.raises(Conflict, match="found version 1, expected none"):
        registry.promote("digits", 2, expected=None)
    registry.promote("digits", 2, expected=1)
    with pytest.raises(Conflict, match="found version 2, expected version 1"):
        registry.promote("digits", 3, expected=1)


def test_rolling_back_walks_to_the_champions_before(registry: Registry):
    for version in (1, 2, 3):
        registry.promote("digits", version)
    assert registry.rollback("digits").number == 2
    assert registry.rollback("digits").number == 1
    assert registry.rolled_back("digits") == {B, C}
    with pytest.raises(NotFound, match="found version 1 and none before it"):
        registry.rollback("digits")


def test_rolling_back_leaves_out_what_was_rolled_back(registry: Registry):
    for version in (1, 2, 3):
        registry.promote("digits", version)
    registry.promote("digits", 3, alias="stable")
    registry.promote("digits", 2, alias="stable")
    registry.promote("digits", 1, alias="stable")
    registry.rollback("digits")  # 3 is bad
    assert registry.rollback("digits", alias="stable").number == 2
    with pytest.raises(NotFound):
        registry.rollback("digits", alias="stable")


def test_rolling_back_without_a_champion_is_an_error(registry: Registry):
    with pytest.raises(NotFound, match="found no version"):
        registry.rollback("digits")


def test_what_was_rolled_back_comes_back_only_by_hand(registry: Registry):
    registry.promote("digits", 1)
    registry.promote("digits", 2, automatic=True)
    registry.rollback("digits")
    with pytest.raises(Conflict, match=r"version 2 .* was rolled back and does not come back by itself"):
        registry.promote("digits", 2, automatic=True)
    assert champion(registry) == 1
    registry.promote("digits", 2)
    assert registry.rolled_back("digits") == set()
    registry.promote("digits", 1)
    registry.promote("digits", 2, automatic=True)
    assert champion(registry) == 2


def test_another_reader_adds_the_log_up_to_the_same(registry: Registry, url: str):
    registry.promote("digits", 1)
    other = open_registry(url)
    assert champion(other) == 1
    registry.promote("digits", 2)
    assert champion(other) == 2
    assert other.entries("digits") == registry.entries("digits")


def test_racing_registrars_lose_no_version(url: str):
    open_store(url)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTRAR, url, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for n in range(8)
    ]
    start_together(racers)
    numbers = [number for racer in racers for number in json.loads(racer.communicate(timeout=120)[0])]
    assert sorted(numbers) == list(range(1, 41))
    assert len(open_registry(url).versions("digits")) == 40


def test_of_racing_promoters_with_one_expectation_one_wins(registry: Registry, url: str):
    registry.promote("digits", 1)

    def promote(number: int) -> str:
        try:
            open_registry(url).promote("digits", 2 + number % 2, expected=1)
        except Conflict:
            return "conflict"
        return "won"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(promote, range(8)))
    assert outcomes.count("won") == 1


def change(store: ObjectStore, index: int, old: str, new: str) -> None:
    key = entry_key("digits", index)
    content = store.get(key).decode()
    assert old in content
    store.put(key, content.replace(old, new).encode())


def test_a_tampered_entry_is_untrusted_and_named(registry: Registry, store: ObjectStore, url: str):
    change(store, 1, B, C)
    with pytest.raises(Untrusted, match=r"entry 1 of model 'digits': the signature .* does not fit"):
        open_registry(url).alias("digits", "champion")


def test_an_entry_that_is_no_json_is_untrusted(registry: Registry, store: ObjectStore, url: str):
    for content in (b"", b"[]", b"{}", b'{"body": 1, "signature": 2}'):
        store.put(entry_key("digits", 2), content)
        with pytest.raises(Untrusted, match="entry 2 of model 'digits' cannot be read"):
            open_registry(url).versions("digits")


def test_a_missing_entry_is_named(registry: Registry, store: ObjectStore, url: str):
    store.delete(entry_key("digits", 1))
    with pytest.raises(Untrusted, match="entry 1 of model 'digits' is missing"):
        open_registry(url).versions("digits")


def test_a_log_cut_short_is_noticed_by_who_has_seen_it(registry: Registry, store: ObjectStore):
    registry.versions("digits")
    store.delete(entry_key("digits", 2))
    with pytest.raises(Untrusted, match="entry 2 of model 'digits' is missing"):
        registry.versions("digits")


def test_entries_in_another_order_or_from_another_model_are_untrusted(registry: Registry, store: ObjectStore, url: str):
    registry.register("faces", A, A)
    store.put(entry_key("digits", 0), store.get(entry_key("faces", 0)))
    with pytest.raises(
        Untrusted, match="entry 0 of model 'digits': found one that was signed as entry 0 of model 'faces'"
    ):
        open_registry(url).versions("digits")


def test_an_entry_replaced_by_another_of_our_own_breaks_the_chain(
    registry: Registry, store: ObjectStore, tmp_path: Path, url: str
):
    keyring = open_keyring(url)
    twin = Registry(open_store(str(tmp_path / "twin")), keyring)
    for artifact in (C, A, B):
        twin.register("digits", artifact, artifact)
    store.put(entry_key("digits", 1), open_store(str(tmp_path / "twin")).get(entry_key("digits", 1)))
    with pytest.raises(
        Untrusted, match=r"entry 1 of model 'digits': found one that was signed as entry 1 .* the log was rearranged"
    ):
        open_registry(url).versions("digits")


def test_a_foreign_signers_entry_is_untrusted_until_the_key_is_trusted(
    registry: Registry, store: ObjectStore, tmp_path: Path, url: str
):
    mine, theirs = open_keyring(url), Keyring(tmp_path / "theirs")
    (theirs.trusted_folder).mkdir(parents=True)
    (theirs.trusted_folder / "me.pub").write_bytes((mine.folder / "signing.pub").read_bytes())
    Registry(store, theirs).promote("digits", 3)
    with pytest.raises(
        Untrusted,
        match=rf"entry 3 of model 'digits': signed by key {theirs.signer()}, .* copy the signer's signing.pub",
    ):
        champion(open_registry(url))
    (mine.trusted_folder / "them.pub").write_bytes((theirs.folder / "signing.pub").read_bytes())
    assert champion(open_registry(url)) == 3


class ForgetfulStore:
    """A real store whose answer to a commit is lost once: the write happens, the writer is told that it failed."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.lost = 0

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._store.put_if_absent(key, data)
        self.lost += 1
        return self._store.put_if_absent(key, data)  # what a retry sees


def test_a_commit_whose_answer_was_lost_is_not_made_twice(store: ObjectStore, url: str):
    forgetful = ForgetfulStore(store)
    registry = Registry(forgetful, open_keyring(url))  # pyright: ignore[reportArgumentType]
    assert registry.register("digits", A, A) == 1
    assert forgetful.lost == 1
    assert len(open_registry(url).entries("digits")) == 1


def test_every_entry_carries_a_token_of_its_own_and_the_clocks_time(store: ObjectStore, url: str):
    registry = Registry(store, open_keyring(url), clock=lambda: 1.5)
    registry.register("digits", A, A)
    registry.promote("digits", 1)
    entries = registry.entries("digits")
    assert len({entry.writer for entry in entries}) == 2
    assert [entry.time for entry in entries] == [1.5, 1.5]
