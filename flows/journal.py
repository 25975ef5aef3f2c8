"""What a run remembers of its steps, kept in the store as the run's manifest: which ran and why, which was found, and who made it."""

import platform
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flows.settings import PipelineConfig
from infra.machine import processor
from storage.errors import MillraceError
from storage.objects import open_store
from storage.records import StepRecord
from storage.root import default_storage
from storage.runs import new_run_id, put_run
from storage.snapshots import take_snapshot, users_files

COMPUTED, CACHED, FAILED = "computed", "cached", "failed"
RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
LOST = "lost"  # said of a run that was killed: it could not say so itself


@dataclass(frozen=True)
class StepEntry:
    """One step of a run. `name`: with the case, as in `score int8`; `seconds`: this run's, near zero for a hit; `output`: a digest.

    `why`: for what ran, the reasons; `made_by`: the run that computed the output; `cost`: what that took, so what a hit saved.
    """

    name: str
    step: str
    state: str
    seconds: float
    key: str
    output: str = ""
    why: tuple[str, ...] = ()
    made_by: str = ""
    cost: Mapping[str, float | None] = field(default_factory=dict)


def entry(
    name: str, step: str, state: str, seconds: float, key: str, record: StepRecord | None, why: tuple[str, ...] = ()
) -> StepEntry:
    """The entry of a step whose output `record` names; without one it failed."""
    if record is None:
        return StepEntry(name, step, FAILED, round(seconds, 3), key, why=why)
    return StepEntry(name, step, state, round(seconds, 3), key, record.output.digest, why, record.run_id, record.cost)


@dataclass
class Journal:
    """One run, from its start. `flow`: the one that was started; `steps`: by name, in the order in which they ended.

    `source`: the blob of the code that it runs; `environment`: `python`, `platform`, `processor`, and `libraries`, those that its steps
    reach, by version; `users`: files of users' own modules that its steps reach, see `storage.snapshots`; `changes`: of the source since the
    run before, in words.
    """

    flow: str
    config: PipelineConfig
    run_id: str = field(default_factory=new_run_id)
    started: float = field(default_factory=time.time)
    steps: dict[str, StepEntry] = field(default_factory=dict)
    summary: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    source: Mapping[str, Any] | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    users: dict[str, Path] = field(default_factory=dict)
    changes: tuple[str, ...] = ()

    @property
    def storage(self) -> str:
        """The URL of the store that this run reads and writes."""
        return open_store(self.config.storage.url or default_storage()).url

    def begin(self) -> None:
        """Keep what this run is made with: its source, stored where it is not yet, and what it runs on."""
        self.source = asdict(take_snapshot(open_store(self.storage)))
        self.environment = {
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "processor": processor(),
            "libraries": {},
        }

    def use(self, libraries: Mapping[str, str], modules: Iterable[str]) -> None:
        """Remember the libraries that a step reaches, by version, and keep users' own modules with the source."""
        self.environment.setdefault("libraries", {}).update(libraries)
        files = users_files(modules)
        if files.keys() - self.users.keys():
            self.users |= files
            self.source = asdict(take_snapshot(open_store(self.storage), self.users))

    def remember(self, *entries: StepEntry) -> None:
        """Remember steps, for the next time that the manifest is written."""
        self.steps |= {entry.name: entry for entry in entries}

    def enter(self, *entries: StepEntry) -> None:
        """Remember steps; what was computed is in the store's manifest at once."""
        self.remember(*entries)
        if any(entry.state != CACHED for entry in entries):
            self.keep(RUNNING)

    def keep(self, status: str, error: str = "") -> None:
        """Write the manifest, with the run's state of this moment."""
        put_run(open_store(self.storage), self.run_id, self.to_json(status, error))

    def close(self, status: str, error: str = "") -> None:
        """Write the manifest for the last time; a store that is gone must not hide what ended the run."""
        with suppress(MillraceError):
            self.keep(status, error)

    def to_json(self, status: str, error: str = "") -> dict[str, Any]:
        """The run's manifest."""
        return {
            "run_id": self.run_id,
            "flow": self.flow,
            "pipeline": self.config.name,
            "status": status,
            "error": error,
            "started": self.started,
            "finished": None if status == RUNNING else time.time(),
            "config": self.config.model_dump(mode="json"),
            "source": self.source,
            "environment": self.environment,
            "steps": [asdict(entry) for entry in self.steps.values()],
            "summary": self.summary,
            "report": self.report,
        }
