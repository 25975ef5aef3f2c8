"""compress: model → candidates, the fp32 model among them."""

from flows import stages
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import prepare_data
from flows.running import running
from flows.stages import Candidates, Prepared
from flows.train_model import train_model
from storage.refs import ModelRef


@flow(name="compress-model")
def compress_model(
    preset: Preset = None,
    config: Config = None,
    overrides: Overrides = None,
    prepared: Prepared | None = None,
    model: ModelRef | None = None,
) -> Candidates:
    """Make the candidates side by side; by itself, prepare and train first (cached where nothing changed)."""
    with running("compress-model", preset, config, overrides) as run:
        prepared = prepared or prepare_data(config=run.config)
        return stages.compress(run, prepared, model or train_model(config=run.config, prepared=prepared))
