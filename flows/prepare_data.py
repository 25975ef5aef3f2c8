"""prepare: raw rows → checked, split data set → fitted transforms → features."""

from dataclasses import dataclass

from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.running import running
from flows.steps import ENCODE, FIT, PREPARE
from storage.refs import DatasetRef, FeaturesRef, TransformsRef
from tasks.frames.identity import source_identity


@dataclass(frozen=True)
class Prepared:
    """What the stage hands on."""

    dataset: DatasetRef
    transforms: TransformsRef
    features: FeaturesRef


@flow(name="prepare-data")
def prepare_data(preset: Preset = None, config: Config = None, overrides: Overrides = None) -> Prepared:
    """Read, check and split the sources; fit the transforms on training rows; make the features."""
    with running("prepare-data", preset, config, overrides) as run:
        dataset = run.step(PREPARE, identity=source_identity(run.config.data))
        transforms = run.step(FIT, dataset=dataset)
        features = run.step(ENCODE, dataset=dataset, transforms=transforms)
        return Prepared(dataset, transforms, features)
