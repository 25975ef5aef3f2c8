"""The plan of a data set: its schema, and the pieces that make its shards. What is found of a file is kept, and not looked for again."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from storage.blobs import Blob
from storage.errors import SchemaError, Unreadable
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.cleaning import bind
from tasks.frames.faults import read_twice
from tasks.frames.pieces import Piece, Survey, carry_out, cut, digest_of, kept_blobs, outcomes
from tasks.frames.raw import UNREADABLE
from tasks.frames.schema import Column, Schema
from tasks.frames.settling import Settling, infer, settle, settling
from tasks.frames.shards import process_shard
from tasks.frames.shelved import Report, Spread, Work, complete, here, make_work
from tasks.frames.sources import File, Group, group, members_of
from tasks.frames.splitting import carved_shares
from tasks.frames.streams import Entry
from tasks.sections import DataSection

# Fields that decide nothing about a single shard; what a source decides, its pieces say.
NOT_SHARED = ("sources", "max_quarantined_share", "passes")  # passes: added where shards are processed
# … and those that decide nothing about where a file's rows lie.
NOT_SURVEYED = (
    "columns", "contract", "features", "function", "target", "target_names", "split_seed", "test_share", "validation_share",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """`section`: with nothing left open; `pieces`: the shards to be, in order."""

    section: DataSection
    schema: Schema
    pieces: list[Piece]


@dataclass(frozen=True)
class Listing:
    """The members of an archive that match a glob: a tar is read to its end for them."""

    archive: File
    pattern: str

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (Entry(self.archive.url, "", self.archive.name, self.archive.digest),)

    @property
    def weight(self) -> int:
        return 0

    @property
    def key(self) -> str:
        return digest_of([self.archive.digest, self.archive.name, self.pattern])


def make_plan(
    section: DataSection, located: Sequence[Sequence[File]], store: ObjectStore, spread: Spread, report: Report
) -> Plan:
    """The plan of the files of each source. SchemaError, NotFound and ConfigError where they cannot be planned."""
    listing = listings(store)
    groups = group(section, located, lambda archive, pattern: _alone(listing, Listing(archive, pattern))["members"])
    found = look_into(section, groups, store, spread, _surveyed(report))
    pieces = [piece for one, looked in zip(groups, found, strict=True) for piece in cut(section, one, looked)]
    _check_files(section, groups, pieces)
    section, schema = restored(section, _alone(settlings(section, store), settling(pieces)))
    return Plan(section, schema, pieces)


def _check_files(section: DataSection, groups: Sequence[Group], pieces: Sequence[Piece]) -> None:
    """SchemaError where more files cannot be read than rows may be refused."""
    bad, files = [piece for piece in pieces if piece.format == UNREADABLE], sum(len(one.entries) for one in groups)
    if len(bad) <= section.max_quarantined_share * files and len(bad) < files:
        return
    more = (
        f"; {len(bad)} of {files} files cannot be read ({len(bad) / files:.1%}), wanted at most {section.max_quarantined_share:.1%} "
        "(data.max_quarantined_share)"
    )
    raise SchemaError(bad[0].header[0] + (more if files > 1 else ""))


def look_into(
    section: DataSection, groups: Sequence[Group], store: ObjectStore, spread: Spread, report: Report
) -> list[list[Any]]:
    """What the surveys of each group found, in order; some of a big file are carried out again, see `tasks.frames.stretches`."""
    work, known = surveying(section, store), dict[str, Any]()
    while wanted := [survey for one in groups for survey in outcomes(one, known)[1]]:
        results = complete(work, wanted, spread, report)
        known |= {survey.key: result.facts["found"] for survey, result in zip(wanted, results, strict=True)}
    return [outcomes(one, known)[0] for one in groups]


def listings(store: ObjectStore) -> Work:
    """Listing archives."""
    return make_work("members", list_archive, ["tasks.frames.planning:list_archive"], None, store.url)


def surveying(section: DataSection, store: ObjectStore) -> Work:
    """Surveys of files."""
    own = [section.reader] if section.reader else []
    compute, entries = partial(survey_file, section), ["tasks.frames.planning:survey_file", *own]
    shared = {name: value for name, value in _shared(section).items() if name not in NOT_SURVEYED}
    return make_work("survey", compute, entries, shared, store.url)


def settlings(section: DataSection, store: ObjectStore) -> Work:
    """Settling what the section leaves open."""
    compute, entries = partial(settle_section, section), ["tasks.frames.planning:settle_section", *section.own_code()]
    return make_work("settle", compute, entries, _shared(section), store.url)


def processing(plan: Plan, store: ObjectStore) -> Work:
    """The shards of a plan."""
    bind(plan.section, plan.schema)  # before any row is read
    passes, schema = plan.section.key_fields()["passes"], _schema(plan.schema)
    shared = [_shared(plan.section), passes, list(carved_shares(plan.section)), schema["columns"], schema["watched"]]
    compute, entries = partial(process_shard, plan.section, plan.schema), ["tasks.frames.shards:process_shard"]
    return make_work("shard", compute, [*entries, *plan.section.own_code()], shared, store.url)


def restored(section: DataSection, facts: Any) -> tuple[DataSection, Schema]:
    """Section and schema as they were settled."""
    parts = {name: type(getattr(section, name)).model_validate(facts[name]) for name in ("image", "audio")}
    found = facts["schema"]
    columns, watched = (tuple(Column.from_json(column) for column in found[name]) for name in ("columns", "watched"))
    return section.model_copy(update=parts), Schema(columns, tuple(found["unused"]), found["has_target"], watched)


def _alone(work: Work, item: Any) -> Any:
    return complete(work, [item], here, lambda event: None)[0].facts


def list_archive(_store: ObjectStore, listing: Listing) -> ShardResult:
    """Facts: `members`."""
    return ShardResult(facts={"members": members_of(listing.archive, listing.pattern)})


def survey_file(section: DataSection, store: ObjectStore, survey: Survey) -> ShardResult:
    """Facts: `found`; of a file that cannot be read why, under `unreadable`. Blobs: the text of each shard of a file that can only be read
    from its start.
    """
    found = read_twice(lambda: carry_out(section, survey, store))
    if isinstance(found, Unreadable):
        return ShardResult(facts={"found": {UNREADABLE: str(found)}})
    blobs = {f"{number:06d}": Blob(*kept) for number, kept in enumerate(kept_blobs(survey, found))}
    return ShardResult(blobs, {"found": found})


def settle_section(section: DataSection, _store: ObjectStore, wanted: Settling) -> ShardResult:
    """Facts: what `restored` reads."""
    settled = settle(section, wanted)
    parts = {name: getattr(settled, name).model_dump(mode="json") for name in ("image", "audio")}
    return ShardResult(facts={**parts, "schema": _schema(infer(settled, wanted))})


def _schema(schema: Schema) -> dict[str, Any]:
    columns, watched = ([column.to_json() for column in some] for some in (schema.columns, schema.watched))
    return {"columns": columns, "unused": list(schema.unused), "has_target": schema.has_target, "watched": watched}


def _shared(section: DataSection) -> dict[str, Any]:
    fields = {name: value for name, value in section.key_fields().items() if name not in NOT_SHARED}
    return {**fields, "contract": section.contract.of_a_shard()}


def _surveyed(report: Report) -> Report:
    """Files and not shards are what a survey is done with; where all are known there is nothing to say."""

    def told(event: dict[str, Any]) -> None:
        if "event" not in event and event["done"] < event["total"]:
            report({"files": event["total"], "surveyed": event["done"]})

    return told
