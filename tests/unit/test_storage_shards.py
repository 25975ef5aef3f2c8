"""Results of shards: each is committed by itself, packed at the end, and lost by nobody."""

import hashlib
import threading
from pathlib import Path

import pytest

from storage.blobs import put_blob
from storage.objects import ObjectStore, open_store
from storage.shards import ShardResult, Shelf

SCOPE = hashlib.sha256(b"scope").hexdigest()


def key(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


def result(store: ObjectStore, number: int) -> ShardResult:
    return ShardResult({"rows": put_blob(store, b"%d" % number, ".parquet")}, {"rows": number, "shares": [0.5, None]})


def commit(store: ObjectStore, *numbers: int, scope: str = SCOPE) -> dict[str, ShardResult]:
    made = {key(number): result(store, number) for number in numbers}
    for name, one in made.items():
        Shelf(store, scope).commit(name, one)
    return made


def objects(store: ObjectStore) -> list[str]:
    return [name.rpartition("/")[2] for name, _ in store.list("shards/")]


def test_what_was_committed_is_known_before_and_after_it_is_packed(store: ObjectStore):
    made = commit(store, 1, 2, 3)
    shelf = Shelf(store, SCOPE)
    assert shelf.known() == made
    assert Shelf(store, SCOPE).find(key(2)) == made[key(2)]
    shelf.pack({})
    assert Shelf(store, SCOPE).known() == made
    assert len(objects(store)) == 1


def test_another_scope_knows_nothing(store: ObjectStore):
    commit(store, 1)
    assert Shelf(store, key(9)).known() == {}


def test_a_pack_takes_in_the_packs_before_it_and_nothing_else_goes(store: ObjectStore):
    first = commit(store, 1, 2)
    Shelf(store, SCOPE).pack(first)
    shelf = Shelf(store, SCOPE)
    known = shelf.known()
    second = commit(store, 3)
    later = commit(store, 4)  # by another run, after this one has read the shelf
    shelf.pack(second)
    assert known == first
    assert sorted(objects(store))[0] == f"{key(4)}.json"
    assert len(objects(store)) == 2
    assert Shelf(store, SCOPE).known() == first | second | later


def test_packing_what_is_packed_writes_nothing(store: ObjectStore):
    Shelf(store, SCOPE).pack(commit(store, 1))
    before = objects(store)
    shelf = Shelf(store, SCOPE)
    shelf.known()
    shelf.pack({})
    assert objects(store) == before


def test_many_runs_that_pack_at_once_lose_nothing(store: ObjectStore):
    made = [commit(store, *range(start, start + 20)) for start in range(0, 160, 20)]
    start = threading.Barrier(len(made))

    def run(mine: dict[str, ShardResult]) -> None:
        start.wait()
        for _ in range(5):
            shelf = Shelf(store, SCOPE)
            shelf.known()
            shelf.pack(mine)

    runs = [threading.Thread(target=run, args=(mine,)) for mine in made]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    shelf = Shelf(store, SCOPE)
    assert shelf.known() == {name: one for mine in made for name, one in mine.items()}
    shelf.pack({})
    assert len(objects(store)) == 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", [b"", b"[]", b"no JSON", b'["x", {"a": [{}, {}]}]'])
def test_a_record_that_cannot_be_read_is_no_record(store: ObjectStore, packed: bool, damage: bytes):
    made = commit(store, 1)
    if packed:
        Shelf(store, SCOPE).pack(made)
    (name,) = [name for name, _ in store.list("shards/")]
    store.put(name, damage)
    assert Shelf(store, SCOPE).known() == {}
    assert Shelf(store, SCOPE).find(key(1)) is None
    again = commit(store, 2)
    shelf = Shelf(store, SCOPE)
    shelf.known()
    shelf.pack(again)
    assert Shelf(store, SCOPE).known() == again
    assert len(objects(store)) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_a_record_of_which_one_byte_was_changed_is_no_record(store: ObjectStore, packed: bool):
    made = commit(store, 7)
    if packed:
        Shelf(store, SCOPE).pack(made)
    (name,) = [name for name, _ in store.list("shards/")]
    content = bytearray(store.get(name))
    at = len(content) // 2 if packed else content.index(b'"rows":7') + 7
    content[at] ^= 1
    store.put(name, bytes(content))
    assert Shelf(store, SCOPE).known() == {}


def test_what_no_run_wants_any_more_is_left_out_after_some_packs(store: ObjectStore):
    stays, goes = commit(store, 1), commit(store, 2)
    Shelf(store, SCOPE).pack(stays | goes)
    for number in range(3, 30):
        shelf = Shelf(store, SCOPE)
        shelf.known()
        shelf.pack(commit(store, number), wanted=stays)
        if number == 10:
            assert goes.keys() <= Shelf(store, SCOPE).known().keys()
    known = Shelf(store, SCOPE).known()
    assert stays.keys() <= known.keys()
    assert not goes.keys() & known.keys()
    assert len(known) < 12
