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
from flows.planning import Plan, find_all
from flows.results import Model, Result
from flows.running import Run, mended, running
from flows.seen import show_found
from tasks.judgement import Judgement

# What follows is imported where it is used: a run that finds everything needs none of it, and would wait for it a second.


def _chain(run: Run) -> Judgement:
    from flows.approve_release import approved
    from flows.compress_model import compress_model
    from flows.evaluate_model import evaluate_model
    from flows.prepare_data import prepare_data
    from flows.release_model import release_model
    from flows.train_model import train_model

    prepared = prepare_data(config=run.config)
    model = train_model(config=run.config, prepared=prepared)
    candidates = compress_model(config=run.config, prepared=prepared, model=model)
    judgement = evaluate_model(config=run.config, prepared=prepared, candidates=candidates)
    judgement = approved(run, judgement)
    release_model(config=run.config, prepared=prepared, judgement=judgement)
    return judgement


def _carried_out(run: Run) -> tuple[Judgement, dict[str, Any]]:
    from flows.approve_release import refuse_unanswerable
    from flows.reporting import record_run

    refuse_unanswerable(run)
    judgement = mended(run, lambda: _chain(run))
    return judgement, record_run(run.journal, judgement, show_report)


def _taken_over(run: Run, found: Plan) -> tuple[Judgement, dict[str, Any]]:
    """The end of a run whose every output is there: no stage is started for it."""
    judgement = found.conclude(run.journal)
    for entry in run.journal.steps.values():
        run.report(entry.name, {"event": CACHED, "seconds": entry.seconds})
    show_found(run.journal)
    return judgement, dict(run.journal.summary or {})


@flow(name="pipeline")
def pipeline(preset: Preset = None, config: Config = None, overrides: Overrides = None, force: Force = False) -> Result:
    """From data to a served model. The result holds summary, report and model; the state is named Held or Rejected where the gate said so."""
    with shown(), running("pipeline", preset, config, overrides, force) as run:
        found = None if force else find_all(run.config)
        judgement, summary = _taken_over(run, found) if found else _carried_out(run)
    judged = Model(judgement.artifact, run.config.storage.variables())
    return Result(summary, judgement.verdict, judged).state()  # pyright: ignore[reportReturnType]  # Prefect gives the caller its data
