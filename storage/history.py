"""Which version each alias pointed at, from when to when, and why: a log told as stretches of time."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from storage.entries import Entry
from storage.standing import Standing, Version


@dataclass(frozen=True)
class Tenure:
    """That `alias` pointed at `version` from `start` until `end` (seconds since the epoch; None: it does still).

    `share`: of the requests that a canary answered or a shadow was shown; 1 for other aliases. `began`, `ended`: the entries, with their
    actions, reasons and signers. A canary whose share or policy changes begins anew.
    """

    alias: str
    version: Version
    share: float
    start: float
    end: float | None
    began: Entry
    ended: Entry | None


def tenures(entries: Sequence[Entry]) -> list[Tenure]:
    """All of a log, by the entries that they began with. An entry whose writer's clock was behind counts from the time of the one before."""
    standing, time = Standing(), -math.inf
    over: list[Tenure] = []
    open_now: dict[str, Tenure] = {}
    for entry in entries:
        standing.apply(entry)
        time = max(time, entry.time)
        changed = [
            alias for alias in {**open_now, **standing.history} if not _goes_on(standing, open_now.get(alias), alias)
        ]
        for alias in changed:
            if alias in open_now:
                over.append(replace(open_now.pop(alias), end=time, ended=entry))
            number = standing.current(alias)
            if number is not None:
                share = _share(standing, alias)
                open_now[alias] = Tenure(alias, standing.versions[number], share, time, None, entry, None)
    return sorted([*over, *open_now.values()], key=lambda tenure: tenure.began.index)


def held_at(all_tenures: Iterable[Tenure], time: float) -> dict[str, Tenure]:
    """What each alias pointed at then, by the alias; none that pointed at nothing."""
    return {
        tenure.alias: tenure
        for tenure in all_tenures
        if tenure.start <= time and (tenure.end is None or time < tenure.end)
    }


def _goes_on(standing: Standing, tenure: Tenure | None, alias: str) -> bool:
    number = standing.current(alias)
    if tenure is None or number is None:
        return tenure is None and number is None
    beside = standing.beside.get(alias)
    return tenure.version.number == number and (beside is None or beside.index == tenure.began.index)


def _share(standing: Standing, alias: str) -> float:
    return standing.beside[alias].fields["share"] if alias in standing.beside else 1.0
