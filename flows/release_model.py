"""release: a promoted candidate → a signed, numbered version behind an alias."""

from flows import stages
from flows.approve_release import approved, refuse_unanswerable
from flows.evaluate_model import evaluate_model
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import prepare_data
from flows.running import running
from flows.stages import Prepared
from storage.refs import ReleaseRef
from tasks.judgement import Judgement


@flow(name="release-model")
def release_model(
    preset: Preset = None,
    config: Config = None,
    overrides: Overrides = None,
    prepared: Prepared | None = None,
    judgement: Judgement | None = None,
) -> ReleaseRef | None:
    """Release what the gate promotes, nothing else; by itself, everything before comes first (cached where nothing changed)."""
    with running("release-model", preset, config, overrides) as run:
        refuse_unanswerable(run)
        prepared = prepared or prepare_data(config=run.config)
        judgement = judgement or approved(run, evaluate_model(config=run.config, prepared=prepared))
        return stages.release(run, prepared, judgement)
