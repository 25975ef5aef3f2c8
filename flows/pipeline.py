"""The whole chain: prepare → train → compress → evaluate → release, then the run's record and report."""

# isort: off
import flows.at_home  # noqa: F401  before Prefect, which reads its settings once

# isort: on

from flows.approve_release import approved, refuse_unanswerable
from flows.artifacts import show_report
from flows.compress_model import compress_model
from flows.display import shown
from flows.evaluate_model import evaluate_model
from flows.flow import flow
from flows.parameters import Config, Force, Overrides, Preset
from flows.prepare_data import prepare_data
from flows.release_model import release_model
from flows.reporting import record_run
from flows.results import Model, Result
from flows.running import Run, mended, running
from flows.train_model import train_model
from tasks.judgement import Judgement


def _chain(run: Run) -> Judgement:
    prepared = prepare_data(config=run.config)
    model = train_model(config=run.config, prepared=prepared)
    candidates = compress_model(config=run.config, prepared=prepared, model=model)
    judgement = evaluate_model(config=run.config, prepared=prepared, candidates=candidates)
    judgement = approved(run, judgement)
    release_model(config=run.config, prepared=prepared, judgement=judgement)
    return judgement


@flow(name="pipeline")
def pipeline(preset: Preset = None, config: Config = None, overrides: Overrides = None, force: Force = False) -> Result:
    """From data to a served model. The result holds summary, report and model; the state is named Held or Rejected where the gate said so."""
    with shown(), running("pipeline", preset, config, overrides, force) as run:
        refuse_unanswerable(run)
        judgement = mended(run, lambda: _chain(run))
        summary = record_run(run.journal, judgement, show_report)
    judged = Model(judgement.artifact, run.config.storage.variables())
    return Result(summary, judgement.verdict, judged).state()  # pyright: ignore[reportReturnType]  # Prefect gives the caller its data
