"""compress: model → candidates, the fp32 model among them."""

from dataclasses import dataclass

from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.prepare_data import Prepared, prepare_data
from flows.running import running
from flows.steps import COMPRESS
from flows.train_model import train_model
from infra.machine import resolve_device
from storage.refs import ArtifactRef, ModelRef
from tasks.recipes import UNCOMPRESSED, recipes_for


@dataclass(frozen=True)
class Candidates:
    """What the stage hands on: artifacts by recipe name, and the uncompressed model exported to the same runtime."""

    baseline: ArtifactRef
    artifacts: dict[str, ArtifactRef]


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
        model = model or train_model(config=run.config, prepared=prepared)
        common = {
            "device": resolve_device(run.config.train.device),
            "model": model,
            "features": prepared.features,
            "transforms": prepared.transforms,
        }
        recipes = recipes_for(run.config.compress, run.config.train)
        cases = {recipe.name: {"recipe": recipe, **common} for recipe in recipes}
        artifacts = run.each(COMPRESS, cases, parallel=run.config.compress.parallel)
        return Candidates(artifacts.pop(UNCOMPRESSED.name), artifacts)
