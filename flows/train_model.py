"""train: features → model."""

from typing import Any

from prefect import flow

from flows.prepare_data import Prepared, prepare_data
from flows.running import running
from flows.steps import TRAIN
from infra.machine import resolve_device
from storage.refs import ModelRef


@flow(name="train-model")
def train_model(
    preset: str | None = None,
    config: dict[str, Any] | None = None,
    overrides: dict[str, Any] | None = None,
    prepared: Prepared | None = None,
) -> ModelRef:
    """Train on prepared data; by itself, prepare first (cached where nothing changed)."""
    with running("train-model", preset, config, overrides) as run:
        prepared = prepared or prepare_data(config=run.settings())
        return run.step(TRAIN, device=resolve_device(run.config.train.device), features=prepared.features)
