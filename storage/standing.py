"""What a model's log adds up to: its versions, what each alias points at, and what is tried beside the champion.

`canary` and `shadow` are aliases of their own kind. They are begun by entries that name a share of the requests, replaced by the next such
entry, and over when they are withdrawn or rolled back, or when their version becomes the champion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.aliases import BESIDE, CANARY, CHAMPION, SHADOW
from storage.entries import Entry


@dataclass(frozen=True)
class Version:
    """A numbered version, from 1. `artifact`, `release`: manifest digests; `time`: when it was registered."""

    number: int
    artifact: str
    release: str
    time: float


@dataclass(frozen=True)
class Canary:
    """A version that answers a `share` (0 to 1) of the requests.

    `since`, `time`: index and time of the entry that began it, or last changed its share or policy. `salt`: digest of the entry that
    made this version the canary, the same after a change, so that who was assigned to it by a hash with this salt stays so while the
    share grows. `policy`: plain JSON, as `tasks.scoring.trial.Policy` has it; what is missing there has its default.
    """

    version: Version
    share: float
    policy: Mapping[str, Any]
    since: int
    time: float
    salt: str


@dataclass(frozen=True)
class Shadow:
    """A version that is shown a `share` (above 0, to 1) of the requests, and whose answers nobody gets. `since`, `time` as a canary's."""

    version: Version
    share: float
    since: int
    time: float


@dataclass(frozen=True)
class Traffic:
    """Who answers. `champion`: the version that the alias asked for points at."""

    champion: Version | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None


@dataclass
class Standing:
    """`history`: for each alias the versions that it may be rolled back through, the last one current. `beside`: entries of what is tried."""

    versions: dict[int, Version] = field(default_factory=dict)
    history: dict[str, list[int]] = field(default_factory=dict)
    rolled_back: set[str] = field(default_factory=set)
    beside: dict[str, Entry] = field(default_factory=dict)
    salt: str = ""

    def current(self, alias: str) -> int | None:
        """The number of the version that `alias` points at."""
        return (self.history.get(alias) or [None])[-1]

    def before(self, alias: str) -> int | None:
        """The version that `alias` pointed at before this one, leaving out what was rolled back."""
        history = self.history.get(alias, [])
        earlier = (
            number
            for number in reversed(history[:-1])
            if number != history[-1] and self.versions[number].artifact not in self.rolled_back
        )
        return next(earlier, None)

    def traffic(self, alias: str) -> Traffic:
        """Who answers behind `alias`. Canary and shadow stand beside the champion alone."""
        number = self.current(alias)
        champion = self.versions[number] if number is not None else None
        return Traffic(champion, self._canary(), self._shadow()) if alias == CHAMPION else Traffic(champion)

    def apply(self, entry: Entry) -> None:
        """Take one more entry into account."""
        if entry.action == "register":
            number = entry.fields["version"]
            self.versions[number] = Version(number, entry.fields["artifact"], entry.fields["release"], entry.time)
        elif entry.action == "promote":
            self._promote(entry.fields["alias"], entry.fields["version"])
        elif entry.action == "rollback":
            self._rollback(entry.fields["alias"], entry.fields["left"], entry.fields["version"])
        elif entry.action in BESIDE:
            self._begin(entry)
        elif entry.action == "withdraw":
            self._end(entry.fields["alias"])

    def _promote(self, alias: str, number: int) -> None:
        self.history.setdefault(alias, []).append(number)
        self.rolled_back.discard(self.versions[number].artifact)
        self._end_of_what_became(alias)

    def _rollback(self, alias: str, left: int, number: int | None) -> None:
        """`number`: what the alias points at now; None: at nothing, as a canary's after its end."""
        self.rolled_back.add(self.versions[left].artifact)
        if number is None:
            self._end(alias)
            return
        while self.history[alias][-1] != number:
            self.history[alias].pop()
        self._end_of_what_became(alias)

    def _begin(self, entry: Entry) -> None:
        alias, number = entry.action, entry.fields["version"]
        if alias == CANARY:
            self.salt = self.salt if self.current(CANARY) == number and CANARY in self.beside else entry.digest
            self.rolled_back.discard(self.versions[number].artifact)
            if self.current(SHADOW) == number:
                self._end(SHADOW)
        self.history[alias] = [number]
        self.beside[alias] = entry

    def _end_of_what_became(self, alias: str) -> None:
        for beside in BESIDE if alias == CHAMPION else ():
            if beside in self.beside and self.current(beside) == self.current(alias):
                self._end(beside)

    def _end(self, alias: str) -> None:
        self.history.pop(alias, None)
        self.beside.pop(alias, None)

    def _canary(self) -> Canary | None:
        entry = self.beside.get(CANARY)
        if entry is None:
            return None
        version, policy = self.versions[entry.fields["version"]], entry.fields["policy"]
        return Canary(version, entry.fields["share"], policy, entry.index, entry.time, self.salt)

    def _shadow(self) -> Shadow | None:
        entry = self.beside.get(SHADOW)
        if entry is None:
            return None
        return Shadow(self.versions[entry.fields["version"]], entry.fields["share"], entry.index, entry.time)


def add_up(entries: Sequence[Entry]) -> Standing:
    """The standing after `entries`."""
    standing = Standing()
    for entry in entries:
        standing.apply(entry)
    return standing
