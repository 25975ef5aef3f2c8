"""The whole chain: prepare → train → compress → evaluate → release, then the run's record and report."""

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.approve_release import approved, refuse_unanswerable
from flows.compress_model import compress_model
from flows.evaluate_model import evaluate_model
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import prepare_data
from flows.release_model import release_model
from flows.running import running
from flows.summary import record_run
from flows.train_model import train_model

STATE_NAMES = {"promote": "Completed", "hold": "Held", "reject": "Rejected"}


@flow(name="pipeline")
def pipeline(preset: Preset = None, config: Config = None, overrides: Overrides = None) -> State:
    """From data to a served model. The result is the run's summary; the state is named Held or Rejected where the gate said so."""
    with running("pipeline", preset, config, overrides) as run:
        refuse_unanswerable(run)
        prepared = prepare_data(config=run.config)
        model = train_model(config=run.config, prepared=prepared)
        candidates = compress_model(config=run.config, prepared=prepared, model=model)
        judgement = evaluate_model(config=run.config, prepared=prepared, candidates=candidates)
        judgement = approved(run, judgement)
        release_model(config=run.config, prepared=prepared, judgement=judgement)
        summary = record_run(run, prepared, model, judgement)
    verdict = summary["verdict"]
    return Completed(name=STATE_NAMES[verdict["decision"]], message="; ".join(verdict["reasons"]), data=summary)
