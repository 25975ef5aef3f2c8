"""Garbage: what nothing names any more, found and swept, beside running pipelines.

What is in use `marking` says. The rest goes when it is older than a grace period, by the store's clock: so whatever is being written stays.
Pointers go before what they point at, and nothing goes where a reference could not be read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage.clock import store_now
from storage.errors import ConfigError, Conflict, CorruptArtifact
from storage.leases import SWEEP, Lease, hold_lease, is_held, live_runs
from storage.leftovers import Leftover, find_leftovers
from storage.marking import Retention, in_use, released, run_ids
from storage.naming import Names, Survey, Unreadable
from storage.objects import Listed, ObjectStore
from storage.registry import Registry
from storage.signing import Keyring
from storage.tally import Tally

LEAST_GRACE_SECONDS = 3600.0
KINDS = ("runs", "shards", "steps", "manifests", "damaged", "blobs", "leases", "probes")  # in the order of sweeping
_AT_ONCE = 500  # after so many it is looked whether the lease is still ours


@dataclass
class Report:
    """What was, or would be, collected. `kept`: objects in use or young; `live_runs`: the ids of those that were going on."""

    deleted: bool
    kept: int
    live_runs: list[str]
    tally: Tally

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "deleted": self.deleted,
            "kept": self.kept,
            "live_runs": self.live_runs,
            **self.tally.to_json(),
        }


@dataclass(frozen=True)
class Plan:
    """What goes: `objects`, in the order of sweeping, and what was left unfinished. `live`: the runs that are going on."""

    objects: list[Listed]
    leftovers: list[Leftover]
    kept: int
    live: list[str]


class Collector:
    """Collects in one store. What it has read of an object it does not read again."""

    def __init__(
        self,
        store: ObjectStore,
        keyring: Keyring,
        grace_seconds: float,
        retention: Retention,
        clock: Callable[[ObjectStore], float],
    ) -> None:
        self._store, self._grace_seconds, self._retention, self._clock = store, grace_seconds, retention, clock
        self._registry, self._names = Registry(store, keyring), Names(store)

    def plan(self) -> Plan:
        """What would go now. First who is at work, then what there is: who starts between the two waits for our end."""
        now, live = self._clock(self._store), live_runs(self._store)
        survey = Survey(self._store)
        young = {key for key, item in survey.items.items() if now - item.written < self._grace_seconds}
        spared = young | self._kept(survey, young, live, now) | self._held(survey)
        gone = [item for kind in KINDS for item in survey.below(kind) if item.key not in spared]
        leftovers = find_leftovers(self._store, now - self._grace_seconds)
        return Plan(gone, leftovers, len(survey.items) - len(gone), sorted(live))

    def sweep(self, plan: Plan, lease: Lease) -> None:
        """Remove what goes, as long as nobody else can have begun."""
        for start in range(0, len(plan.objects), _AT_ONCE):
            self._check_held(lease)
            keys = [item.key for item in plan.objects[start : start + _AT_ONCE]]
            self._store.delete_many(keys)
            for folder in {key.rpartition("/")[0] for key in keys}:
                self._store.remove_empty(folder)
        for leftover in plan.leftovers:
            self._check_held(lease)
            leftover.remove()

    def _kept(self, survey: Survey, young: set[str], live: set[str], now: float) -> set[str]:
        runs, versions = run_ids(survey), released(self._registry)
        ages = {run_id: now - survey.items[key].written for key, run_id in runs.items()}
        dropped = self._retention.dropped(list(runs.values()), ages.__getitem__) - live - versions.runs
        keys = {key for key, run_id in runs.items() if run_id in dropped} - young
        try:
            return in_use(survey, self._names, versions, keys, bool(live), young)
        except Unreadable as error:
            raise CorruptArtifact(
                f"nothing is collected in store {self._store.url}: {error.key} cannot be read ({error.why}), and what it names "
                "may be in use"
            ) from error

    def _held(self, survey: Survey) -> set[str]:
        names = {item.key.split("/")[1] for item in survey.below("leases")}
        held = {name for name in names if is_held(self._store, name)}
        return {item.key for item in survey.below("leases") if item.key.split("/")[1] in held}

    def _check_held(self, lease: Lease) -> None:
        if not lease.held:
            raise Conflict(
                f"store {self._store.url}: this collection stood still for too long, and another may have begun; collect again"
            )


def collect(
    store: ObjectStore,
    keyring: Keyring,
    grace_seconds: float,
    delete: bool,
    retention: Retention,
    waiting: Callable[[], None],
    clock: Callable[[ObjectStore], float] = store_now,
) -> Report:
    """Find what nothing names and is older than the grace period; with `delete`, remove it. `waiting`: called where another collects.
    `clock`: the store's, seconds since the epoch.

    Raises `ConfigError` for too short a grace period and a store that may only be read; `CorruptArtifact` and `Untrusted` where references
    cannot be read: then nothing is removed; `Conflict` where this process stood still for so long that another may have begun.
    """
    if grace_seconds < LEAST_GRACE_SECONDS:
        raise ConfigError(
            f"grace period: found {grace_seconds / 3600:g} hours, wanted at least 1: a run may be writing"
        )
    collector = Collector(store, keyring, grace_seconds, retention, clock)
    plan = collector.plan()
    if delete:
        with hold_lease(store, SWEEP, waiting) as lease:
            if lease is None:
                raise ConfigError(f"store {store.url}: may only be read; collect with the right to delete there")
            plan = collector.plan()  # again, now that no run can start: what was read is not read again
            collector.sweep(plan, lease)
    return _report(plan, delete)


def _report(plan: Plan, deleted: bool) -> Report:
    tally = Tally()
    for kind in KINDS:
        tally.count(kind, ((item.key, item.size) for item in plan.objects if item.key.partition("/")[0] == kind))
    tally.count("unfinished uploads", ((leftover.key, leftover.size) for leftover in plan.leftovers))
    return Report(deleted, plan.kept, plan.live, tally)
