"""A batch prediction from its order to files in the output, by hand and in a flow alike. No Prefect here."""

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from flows.aliases import existing_store
from flows.journal import CACHED, COMPUTED, FAILED, FINISHED, RUNNING, STOPPED, StepEntry
from infra.machine import processor
from storage.errors import CorruptArtifact, MillraceError
from storage.keys import step_key
from storage.leases import SWEEP_WAITED_FOR, hold_lease
from storage.leases import running as announced
from storage.manifests import read_manifest
from storage.objects import ObjectStore, open_store
from storage.refs import ArtifactRef, PredictionsRef
from storage.registry import Version, open_registry
from storage.runs import new_run_id, put_run
from tasks.batch.laying import check_apart, lay_out, output_lease
from tasks.batch.planning import located_sources
from tasks.frames.identity import as_identity
from tasks.inference.releases import load_version
from tasks.progress import Event, listen, reporter, set_run
from tasks.sections import BatchSection, ClusterSection

Predict = Callable[..., PredictionsRef]


def predict_batch(
    name: str, wanted: str | int, batch: BatchSection, cluster: ClusterSection, storage: str, predict: Predict
) -> dict[str, Any]:
    """Predict the sources by the version that the alias or number `wanted` means, lay the files out; the summary.

    `predict` does the work: `tasks.batch.on_cluster.predict_on_cluster`, or the step around it.
    """
    store = open_store(existing_store(storage))
    with _kept(_Run(store, name)) as run, announced(store, run.run_id, _say_waiting):
        version = _verified(store, name, wanted)
        located = located_sources(batch)
        check_apart(batch.output, batch.sources, [file for files in located for file in files])
        artifact = ArtifactRef(store.url, version.artifact)
        identity = as_identity(located)
        lease = f"predict-{step_key('predict', {**batch.key_fields(), **identity}, version.artifact, {})}"
        with hold_lease(store, lease, _say_another):  # another run of this very order: what it makes is found here
            ref = predict(batch=batch, identity=identity, artifact=artifact, cluster=cluster, storage=store.url)
        run.made(ref)
        meta = read_manifest(store, ref.digest).meta
        facts = {"model": name, "version": version.number, **meta, "predictions": ref.digest}
        with hold_lease(
            store, output_lease(batch.output), _say_another_writes
        ):  # else of two each says that all is its own
            written = lay_out(store, ref.digest, batch.output, facts, reporter("write"))
    return {**written, **run.told(), "output": batch.output}


@dataclass
class _Run:
    """What is remembered of this run in the store, so that what it made is kept there: one step."""

    store: ObjectStore
    model: str
    run_id: str = field(default_factory=new_run_id)
    started: float = field(default_factory=time.time)
    steps: tuple[StepEntry, ...] = ()
    known: int = 0
    total: int = 0

    def hear(self, event: Event) -> None:
        """Count the parts: those that were known are told first."""
        if event["stage"] == "predict" and "total" in event:
            self.known, self.total = (self.known if self.total else event["done"]), event["total"]

    def made(self, ref: PredictionsRef) -> None:
        state = COMPUTED if self.total > self.known else CACHED
        seconds = round(time.time() - self.started, 3)
        why = f"{self.total - self.known:,} of {self.total:,} parts are new or changed"
        maker = self.run_id if state == COMPUTED else "earlier runs"
        self.steps = (StepEntry("predict", "predict", state, seconds, "", ref.digest, (why,), maker),)

    def told(self) -> dict[str, Any]:
        """What differs from run to run."""
        seconds = round(time.time() - self.started, 3)
        return {"run_id": self.run_id, "parts_computed": self.total - self.known, "seconds": seconds}

    def keep(self, status: str, error: str = "") -> None:
        """Write the run's manifest as it is at this moment."""
        entries = [asdict(entry) for entry in self.steps]
        told = {"flow": "batch-predict", "pipeline": self.model, "status": status, "error": error, "steps": entries}
        finished = None if status == RUNNING else time.time()
        machine = {"python": platform.python_version(), "processor": processor()}
        about = {"config": {}, "source": None, "environment": machine, "summary": None, "report": None}
        put_run(self.store, self.run_id, {**told, **about, "started": self.started, "finished": finished})

    def close(self, status: str, error: str) -> None:
        """Write it for the last time; a store that is gone must not hide what ended the run."""
        with suppress(MillraceError):
            self.keep(status, error)


@contextmanager
def _kept(run: _Run) -> Iterator[_Run]:
    """However the run ends, its manifest says so."""
    stop = listen(run.hear)
    set_run(run.run_id, None)
    try:
        run.keep(RUNNING)
        yield run
    except Exception as error:
        run.close(FAILED, f"{type(error).__name__}: {error}")
        raise
    except BaseException as signal:
        run.close(STOPPED, type(signal).__name__)
        raise
    finally:
        stop()
    run.keep(FINISHED)


def _say_waiting() -> None:
    reporter("store")({"event": SWEEP_WAITED_FOR})


def _say_another() -> None:
    reporter("predict")({"event": "waiting for another run that predicts the very same"})


def _say_another_writes() -> None:
    reporter("write")({"event": "waiting for another run that writes into the same output"})


def _verified(store: ObjectStore, name: str, wanted: str | int) -> Version:
    """The version, once its signature and digests are found right, and that it is the artifact that it says."""
    registry = open_registry(store.url)
    version = registry.find(name, wanted)
    _, release = load_version(store, registry, name, version)
    if not read_manifest(store, version.artifact).files.items() <= release.files.items():
        raise CorruptArtifact(
            f"model {name!r}, version {version.number}: its release holds other files than its artifact; release it again"
        )
    return version
