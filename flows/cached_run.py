"""A run that finds everything: recorded and told without a flow, Dask or torch; without Prefect too where no server is to see it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flows.journal import FINISHED, Journal
from flows.local_prefect import use_server
from flows.planning import Plan, find_all
from flows.settings import PipelineConfig
from storage.errors import MillraceError
from storage.leases import SWEEP_WAITED_FOR
from storage.leases import running as announced
from storage.objects import open_store
from storage.root import default_storage
from storage.runs import new_run_id
from storage.surroundings import surrounded


def found_whole(config: PipelineConfig) -> dict[str, Any] | None:
    """The summary of a run of `config` that computed nothing; None where something must be computed.

    Raises ConfigError where a Prefect server is named that does not answer.
    """
    is_seen = use_server()
    try:
        with surrounded(config.storage.variables()), _announced(config) as run_id:  # so that what is found stays there
            planned = find_all(config)
            if planned is None:
                return None
            journal = _recorded(planned, run_id)
    except MillraceError:
        return None  # the run itself says what is wrong, and records that it failed
    if is_seen:
        _tell_server(journal)
    return dict(journal.summary or {})


@contextmanager
def _announced(config: PipelineConfig) -> Iterator[str]:
    run_id = new_run_id()
    with announced(open_store(config.storage.url or default_storage()), run_id, _say_waiting):
        yield run_id


def _say_waiting() -> None:
    sys.stderr.write(f"store: {SWEEP_WAITED_FOR}\n")


def _recorded(planned: Plan, run_id: str) -> Journal:
    journal = Journal("pipeline", planned.config, run_id, planned.started)
    journal.begin()
    planned.conclude(journal)
    journal.keep(FINISHED)
    return journal


def _tell_server(journal: Journal) -> None:
    import flows.at_home  # noqa: F401  before Prefect, which reads its settings once
    from flows.seen import tell_server

    try:
        tell_server(journal)
    except Exception as error:  # noqa: BLE001  whatever a client raises, the run is done and recorded
        sys.stderr.write(f"millrace: the run is recorded, and Prefect's server does not show it: {error}\n")
