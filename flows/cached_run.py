"""A run that finds everything: recorded and told without Prefect, Dask or torch."""

import os
from typing import Any

from flows.journal import FINISHED, Journal
from flows.local_prefect import api_url
from flows.planning import Plan, plan
from flows.settings import PipelineConfig
from flows.summary import summarise
from storage.errors import MillraceError
from storage.leases import running as announced
from storage.objects import open_store
from storage.surroundings import surrounded


def found_whole(config: PipelineConfig) -> dict[str, Any] | None:
    """The summary of a run of `config` that computed nothing; None where something must be computed, or a Prefect server is to see it."""
    if os.environ.get("PREFECT_API_URL") or api_url():
        return None
    try:
        with surrounded(config.storage.variables()):
            planned = plan(config)
            return _recorded(planned) if planned.is_hit else None
    except MillraceError:
        return None  # the run itself says what is wrong, and records that it failed


def _recorded(planned: Plan) -> dict[str, Any]:
    journal = planned.journal()
    with announced(open_store(journal.storage), journal.run_id):
        return _told(journal, planned)


def _told(journal: Journal, planned: Plan) -> dict[str, Any]:
    assert planned.judgement
    journal.summary = summarise(journal, planned.judgement)
    journal.keep(FINISHED)
    return dict(journal.summary)
