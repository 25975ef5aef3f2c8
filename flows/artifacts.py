"""What a run shows in Prefect's UI beside its log: the progress of each stage, the summary as a table, the report.

Only where there is a server that outlives the run. An artifact that cannot be written is said once in the log and costs nothing else.
"""

import contextvars
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger
from prefect.settings import get_current_settings

from tasks.progress import Event, describe, listen, remaining
from tasks.report.content import gate_metric

EVERY_SECONDS = 2.0
DONE = ("computed", "cached")


class Progress:
    """Each stage's progress as an artifact of this flow run, for the model `name`. Use it as a context manager.

    Written by a thread of its own, the latest state only, so that a slow server delays no stage.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._latest: dict[str, tuple[float, str]] = {}
        self._artifacts: dict[str, UUID] = {}
        self._ended = threading.Event()
        self._logger = get_run_logger()

    def __enter__(self) -> "Progress":
        self._stop = listen(self._on_event)
        context = contextvars.copy_context()  # by which an artifact belongs to this flow run
        self._thread = threading.Thread(target=context.run, args=(self._write,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stop()
        self._ended.set()
        self._thread.join(EVERY_SECONDS)

    def _on_event(self, event: Event) -> None:
        stage, left = event["stage"], remaining(event)
        if left is not None:
            self._latest[stage] = (100 * (1 - left), describe(event))
        elif event.get("event") in DONE and stage in {*self._latest, *self._artifacts}:
            self._latest[stage] = (100.0, describe(event))

    def _write(self) -> None:
        try:
            while not self._ended.wait(EVERY_SECONDS):
                self._write_latest()
            self._write_latest()
        except Exception as error:  # noqa: BLE001  whatever a client raises, the work goes on
            self._logger.warning("progress is not shown from here on: %s", error)

    def _write_latest(self) -> None:
        for stage in list(self._latest):
            share, text = self._latest.pop(stage)
            if stage in self._artifacts:
                update_progress_artifact(self._artifacts[stage], share, description=text)
            else:
                key = artifact_key(self._name, stage)
                self._artifacts[stage] = create_progress_artifact(share, key=key, description=text)  # pyright: ignore[reportArgumentType]


@contextmanager
def showing_progress(name: str) -> Iterator[None]:
    """Show the progress of what is done meanwhile, where somebody can see it."""
    if not is_seen():
        yield
        return
    with Progress(name):
        yield


def show_report(view: Mapping[str, Any], figures: Mapping[str, str]) -> None:
    """The summary as a table and the whole report as text, where somebody can see them."""
    if not is_seen():
        return
    from tasks.report.markdown import summary_rows, to_markdown

    summary = view["summary"]
    name = summary["pipeline"]
    try:
        rows = summary_rows(summary, gate_metric(view))
        create_table_artifact(rows, key=artifact_key(name, "summary"), description=f"Run {summary['run_id']}")
        report = to_markdown(view, figures)
        create_markdown_artifact(report, key=artifact_key(name, "report"), description=f"Run {summary['run_id']}")
    except Exception as error:  # noqa: BLE001  whatever a client raises, the run is done and recorded
        get_run_logger().warning("the report is not shown here, see %s: %s", summary["report"], error)


def is_seen() -> bool:
    """Whether there is a server that outlives this run; a temporary one shows nothing to anybody."""
    return get_current_settings().api.url is not None


def artifact_key(name: str, what: str) -> str:
    """A key as Prefect wants it: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{name}-{what}".lower()).strip("-")
