"""How much of a step is done already, shard by shard: what a plan says before a run. Nothing is computed, and no row read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from storage.objects import ObjectStore
from storage.shards import Shelf
from storage.wholeness import Sizes
from tasks.frames.identity import as_identity, identified, told_size
from tasks.frames.pieces import Piece, cut, outcomes, surveys
from tasks.frames.planning import Listing, Plan, listings, processing, restored, settlings, surveying
from tasks.frames.schema import SAMPLE_ROWS
from tasks.frames.settling import settling
from tasks.frames.shelved import Item, Work, whole_results
from tasks.frames.sources import File, Group, group, locate
from tasks.frames.stored_rows import open_dataset, stored_shards
from tasks.frames.streams import Entry
from tasks.sections import DataSection

UNSEEN = Piece("", "", (Entry("", "", ""),), 0, SAMPLE_ROWS)  # stands for those of a file that nobody has looked into


@dataclass(frozen=True)
class ShardStates:
    """Shards that are known and whole, those that must be computed, and those of which that cannot be told before the run; `why`: in words.

    A file that nobody has looked into counts as one shard.
    """

    known: int = 0
    missing: int = 0
    undecided: int = 0
    why: tuple[str, ...] = ()


class _Unlisted(Exception):
    """An archive that nobody has listed."""


def shard_states(
    section: DataSection, identity: Mapping[str, Any], store: ObjectStore, share: float, sizes: Sizes | None = None
) -> ShardStates:
    """The shards of stage prepare for the files of `identity` (see `source_identity`). `share`, `sizes`: as in `storage.wholeness.damage`.

    Raises what a run would raise before it reads a row: NotFound, ConfigError, SchemaError.
    """
    try:
        groups = _groups(section, _located(section, identity), store)
    except _Unlisted as archive:
        return ShardStates(undecided=1, why=(f"{archive}: its members are not known yet",))
    planned = _planned(section, groups, store)
    pieces = [piece for one in planned for piece in one or ()]
    unseen = [group for group, one in zip(groups, planned, strict=True) if one is None]
    said = tuple(f"{one.entries[0].name}: not looked into yet" for one in unseen[:1])
    settled = _settled(section, planned, store)
    if settled is None:
        why = "the files that the columns are inferred from have changed, or are new"
        return ShardStates(undecided=len(pieces) + len(unseen), why=(*said, why))
    found = item_states(processing(Plan(settled[0], settled[1], pieces), store), pieces, store, share, sizes)
    return ShardStates(found.known, found.missing + len(unseen), 0, (*said, *found.why))


def encode_states(dataset: str, transforms: str, store: ObjectStore, share: float) -> ShardStates:
    """The same for stage encode: the shards of that data set, encoded with those transforms (both by digest)."""
    from tasks.frames.encoding import encoding  # what transforms need, which other plans do not

    manifest = open_dataset(store, dataset)
    return item_states(encoding(store, manifest, transforms), stored_shards(manifest), store, share)


def item_states(
    work: Work, items: Sequence[Item], store: ObjectStore, share: float, sizes: Sizes | None = None
) -> ShardStates:
    """The states of shards that `work` would make."""
    found, damaged = whole_results(store, Shelf(store, work.scope), [item.key for item in items], share, sizes)
    missing = [item for item in items if item.key not in found]
    new = [item for item in missing if item.key not in damaged]
    why = [f"{len(new):,} shards are new or changed"] * bool(new) + list(damaged.values())[:3]
    return ShardStates(len(items) - len(missing), len(missing), 0, tuple(why))


def _located(section: DataSection, identity: Mapping[str, Any]) -> list[list[File]]:
    """The files with the digests that `identity` tells, read anew where these are other files."""
    located = [locate(section, source) for source in section.sources]
    told = [
        [
            File(file.name, file.url, digest=digest, size=told_size(file))
            for file, (_, digest) in zip(files, known, strict=False)
        ]
        for files, known in zip(located, identity["sources"], strict=False)
    ]
    return told if as_identity(told) == identity else identified(section)


def _groups(section: DataSection, located: Sequence[Sequence[File]], store: ObjectStore) -> list[Group]:
    known = cache(Shelf(store, listings(store).scope).known)

    def members(archive: File, pattern: str) -> list[str]:
        found = known().get(Listing(archive, pattern).key)
        if found is None:
            raise _Unlisted(archive.name)
        return found.facts["members"]

    return group(section, located, members)


def _planned(section: DataSection, groups: Sequence[Group], store: ObjectStore) -> list[list[Piece] | None]:
    """The pieces of each group, None where its files were not surveyed."""
    surveyed = any(surveys(one) for one in groups)
    shelved = Shelf(store, surveying(section, store).scope).known() if surveyed else {}
    known = {key: result.facts["found"] for key, result in shelved.items()}
    looked = [outcomes(one, known) for one in groups]
    return [None if missing else cut(section, one, found) for one, (found, missing) in zip(groups, looked, strict=True)]


def _settled(section: DataSection, planned: Sequence[list[Piece] | None], store: ObjectStore) -> Any:
    """Section and schema as a run would settle them, None where that is not known."""
    wanted = settling([piece for one in planned for piece in ([UNSEEN] if one is None else one)])
    known = {} if UNSEEN in wanted.inferred_from else Shelf(store, settlings(section, store).scope).known()
    return restored(section, known[wanted.key].facts) if wanted.key in known else None
