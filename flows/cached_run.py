"""A run that finds everything: recorded and told without Prefect, Dask or torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flows.journal import FINISHED
from flows.local_prefect import api_url
from flows.planning import Plan, plan
from flows.settings import PipelineConfig
from flows.summary import summarise
from storage.errors import MillraceError
from storage.leases import running as announced
from storage.objects import open_store
from storage.root import default_storage
from storage.runs import new_run_id
from storage.surroundings import surrounded


def found_whole(config: PipelineConfig) -> dict[str, Any] | None:
    """The summary of a run of `config` that computed nothing; None where something must be computed, or a Prefect server is to see it."""
    if os.environ.get("PREFECT_API_URL") or api_url():
        return None
    try:
        with surrounded(config.storage.variables()), _announced(config) as run_id:  # so that what is found stays there
            planned = plan(config)
            return _recorded(planned, run_id) if planned.is_hit else None
    except MillraceError:
        return None  # the run itself says what is wrong, and records that it failed


@contextmanager
def _announced(config: PipelineConfig) -> Iterator[str]:
    run_id = new_run_id()
    with announced(open_store(config.storage.url or default_storage()), run_id):
        yield run_id


def _recorded(planned: Plan, run_id: str) -> dict[str, Any]:
    journal = planned.journal(run_id)
    assert planned.judgement
    journal.summary = summarise(journal, planned.judgement)
    journal.keep(FINISHED)
    return dict(journal.summary)
