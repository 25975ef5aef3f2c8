"""Work done shard by shard: what a shelf knows is taken from it; the rest is computed, each result committed as soon as it is made."""

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from storage.errors import ConfigError
from storage.fingerprints import PACKAGES, reach
from storage.keys import step_key
from storage.objects import ObjectStore, open_store
from storage.shards import ShardResult, Shelf
from storage.wholeness import Sizes, damaged_blobs
from tasks.caching import trust
from tasks.frames.identity import check_unchanged
from tasks.frames.streams import Entry

LITTLE_ITEMS, LITTLE_WEIGHT = 8, 100_000  # no more than that is done sooner here than a cluster starts
BATCH_ITEMS, BATCH_WEIGHT = 256, 600_000  # shards go together up to 60 MB of a table, which take seconds
BATCHES = 32  # there are so many at least, where the shards allow it: for progress, and so that no worker waits long for the last one
EACH = 400  # rows that take as long as what a shard takes at any size

Compute = Callable[[ObjectStore, Any], ShardResult]
Report = Callable[[dict[str, Any]], None]


class Item(Protocol):
    """One shard to be. `key`: of its result; `weight`: how much work it is, in rows of a table; `entries`: the files it reads."""

    @property
    def key(self) -> str: ...
    @property
    def weight(self) -> int: ...
    @property
    def entries(self) -> tuple[Entry, ...]: ...


Spread = Callable[[str, Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]
"""Name, function, its arguments → (index, result) as they are done."""


@dataclass(frozen=True)
class Work:
    """One kind of shard. `compute` makes the result of an item; `scope`: what all of them share; `fresh`: nothing that is known counts.

    `entries`, `code`: where its code begins, and the digest of all that it reaches: of what other code makes nothing is kept.
    """

    name: str
    compute: Compute
    scope: str
    store_url: str
    entries: tuple[str, ...]
    code: str
    fresh: bool = False

    def __call__(self, items: Sequence[Item]) -> list[ShardResult]:
        """The results of `items`, each committed before the next is begun. One that is committed meanwhile is not made again."""
        store = open_store(self.store_url)
        shelf = Shelf(store, self.scope)
        self._check_code()
        return [self._found(shelf, item) or self._make(store, shelf, item) for item in items]

    def _found(self, shelf: Shelf, item: Item) -> ShardResult | None:
        return None if self.fresh else shelf.find(item.key)

    def _make(self, store: ObjectStore, shelf: Shelf, item: Item) -> ShardResult:
        result = self.compute(store, item)
        check_unchanged(item.entries)
        if self._has_users_code():
            self._check_code()
        shelf.commit(item.key, result)
        return result

    def _has_users_code(self) -> bool:
        """Whether it may be edited in the middle of the work and count at once: ours stays what this process has loaded."""
        return any(entry.partition(".")[0] not in PACKAGES for entry in self.entries)

    def _check_code(self) -> None:
        """ConfigError where the code is another than that of the scope."""
        if reach(*self.entries).digest != self.code:
            raise ConfigError(
                f"{self.name}: its code was changed while it ran; what the changed code made is not kept, run again"
            )


def make_work(name: str, compute: Compute, entries: Sequence[str], shared: Any, store_url: str) -> Work:
    """The work of one kind of shard, in the scope of the code behind `entries` (`module:function`), of its libraries, and of `shared`.

    A new scope each time where the code cannot be analysed: then nothing is known.
    """
    code = reach(*entries)
    unsure = uuid.uuid4().hex if code.obstacles else ""
    scope = step_key(name, {"shared": shared, "unsure": unsure}, code.digest, code.libraries)
    return Work(name, compute, scope, store_url, tuple(entries), code.digest)


def complete(work: Work, items: Sequence[Item], spread: Spread, report: Report) -> list[ShardResult]:
    """The results of all `items` in their order, and on the shelf in one pack.

    Events say how many were known, and how far the others are.
    """
    store = open_store(work.store_url)
    shelf = Shelf(store, work.scope)
    keys = [item.key for item in items]
    believed = trust.get()
    work = replace(work, fresh=believed.force)
    found, damaged = whole_results(store, shelf, [] if work.fresh else keys, believed.share)
    shelf.drop(damaged)
    wanted = dict(zip(keys, items, strict=True))
    done, rows = len(found), _rows(found.values())
    report({"event": _known(done, len(wanted), len(damaged)), "done": done, "total": len(wanted), "rows": rows})
    made: dict[str, ShardResult] = {}
    batches = make_batches([item for key, item in wanted.items() if key not in found])
    for index, results in spread(work.name, work, batches):
        made |= {item.key: result for item, result in zip(batches[index], results, strict=True)}
        rows += _rows(results)
        report({"done": done + len(made), "total": len(wanted), "rows": rows})
    shelf.pack(made, wanted)
    return [(made.get(key) or found[key]) for key in keys]


def here(_name: str, function: Callable[[Any], Any], batches: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """The work done in this process."""
    return enumerate(map(function, batches))


def whole_results(
    store: ObjectStore, shelf: Shelf, keys: Iterable[str], share: float, sizes: Sizes | None = None
) -> tuple[dict[str, ShardResult], dict[str, str]]:
    """Of those `keys` the results that the shelf knows and whose blobs are whole; and what is wrong with the others that it knows.

    `share`, `sizes`: as in `storage.wholeness.damage`.
    """
    known = shelf.known()
    found = {key: known[key] for key in keys if key in known}
    wrong = damaged_blobs(store, (blob for one in found.values() for blob in one.blobs.values()), share, sizes)
    said = {
        key: next(wrong[blob] for blob in one.blobs.values() if blob in wrong)
        for key, one in found.items()
        if not wrong.keys().isdisjoint(one.blobs.values())
    }
    return {key: one for key, one in found.items() if key not in said}, said


def make_batches(items: Sequence[Item]) -> list[list[Item]]:
    """Items together that follow one another, so that none waits for its own way to a worker and back; a batch takes seconds."""
    fair = math.ceil(sum(item.weight + EACH for item in items) / BATCHES)
    batches: list[list[Item]] = []
    weight = 0
    for item in items:
        more = item.weight + EACH
        if not batches or len(batches[-1]) == BATCH_ITEMS or weight + more > min(fair, BATCH_WEIGHT):
            batches.append([])
            weight = 0
        batches[-1].append(item)
        weight += more
    return batches


def is_little(batches: Sequence[Sequence[Item]]) -> bool:
    """Whether the work is done here sooner than a cluster starts."""
    items = [item for batch in batches for item in batch]
    return len(items) <= LITTLE_ITEMS and sum(item.weight for item in items) <= LITTLE_WEIGHT


def _known(known: int, total: int, damaged: int) -> str:
    return f"{known:,} of {total:,} shards known" + (f", {damaged:,} damaged" if damaged else "")


def _rows(results: Iterable[ShardResult]) -> int:
    return sum(result.facts.get("rows_in", 0) for result in results)
