"""The whole chain: prepare → train → compress → evaluate → release, then the run's record and report."""

# isort: off
import flows.at_home  # noqa: F401  before Prefect, which reads its settings once

# isort: on

from typing import Any

from flows.artifacts import show_report
from flows.display import shown
from flows.flow import flow
from flows.journal import CACHED
from flows.parameters import Config, Force, Overrides, Preset
from flows.planning import find_all
from flows.results import Model, Result
from flows.running import Run, mended, running
from flows.seen import show_found
from storage.errors import CorruptArtifact
from tasks.judgement import Judgement

# What follows is imported where it is used: a run that finds everything needs none of it, and would wait for it a second.


def _carried_out(run: Run) -> tuple[Judgement, dict[str, Any]]:
    from flows.approve_release import approved, refuse_unanswerable
    from flows.compress_model import compress_model
    from flows.evaluate_model import evaluate_model
    from flows.prepare_data import prepare_data
    from flows.release_model import release_model
    from flows.reporting import record_run
    from flows.train_model import train_model

    refuse_unanswerable(run)
    prepared = prepare_data(config=run.config)
    model = train_model(config=run.config, prepared=prepared)
    candidates = compress_model(config=run.config, prepared=prepared, model=model)
    judgement = evaluate_model(config=run.config, prepared=prepared, candidates=candidates)
    judgement = approved(run, judgement)
    release_model(config=run.config, prepared=prepared, judgement=judgement)
    return judgement, record_run(run.journal, judgement, show_report)


def _taken_over(run: Run) -> tuple[Judgement, dict[str, Any]] | None:
    """The end of a run whose every output is there: no stage is started for it. None where one is not, or is found damaged when it is read."""
    try:
        found = find_all(run.config)
        judgement = found.conclude(run.journal) if found else None
    except CorruptArtifact:
        return None
    if judgement is None:
        return None
    for entry in run.journal.steps.values():
        run.report(entry.name, {"event": CACHED, "seconds": entry.seconds})
    show_found(run.journal)
    return judgement, dict(run.journal.summary or {})


@flow(name="pipeline")
def pipeline(preset: Preset = None, config: Config = None, overrides: Overrides = None, force: Force = False) -> Result:
    """From data to a served model. The result holds summary, report and model; the state is named Held or Rejected where the gate said so."""
    with shown(), running("pipeline", preset, config, overrides, force) as run:
        judgement, summary = (None if force else _taken_over(run)) or mended(run, lambda: _carried_out(run))
    judged = Model(judgement.artifact, run.config.storage.variables())
    return Result(summary, judgement.verdict, judged).state()  # pyright: ignore[reportReturnType]  # Prefect gives the caller its data
