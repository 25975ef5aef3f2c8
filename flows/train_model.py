"""train: features → model."""

from flows import stages
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import prepare_data
from flows.running import running
from flows.stages import Prepared
from storage.refs import ModelRef


@flow(name="train-model")
def train_model(
    preset: Preset = None,
    config: Config = None,
    overrides: Overrides = None,
    prepared: Prepared | None = None,
) -> ModelRef:
    """Train on prepared data; by itself, prepare first (cached where nothing changed)."""
    with running("train-model", preset, config, overrides) as run:
        return stages.train(run, prepared or prepare_data(config=run.config))
