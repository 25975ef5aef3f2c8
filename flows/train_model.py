"""train: features → model."""

from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import Prepared, prepare_data
from flows.running import running
from flows.steps import TRAIN
from infra.machine import resolve_device
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
        prepared = prepared or prepare_data(config=run.config)
        return run.step(TRAIN, device=resolve_device(run.config.train.device), features=prepared.features)
