"""prepare: raw rows → checked, split data set → fitted transforms → features."""

from flows import stages
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.running import running
from flows.stages import Prepared
from infra.sharing import one_cluster


@flow(name="prepare-data")
def prepare_data(preset: Preset = None, config: Config = None, overrides: Overrides = None) -> Prepared:
    """Read, check and split the sources; fit the transforms on training rows; make the features."""
    # Its cluster ends here and not with the run: training wants the memory and the processors that the workers would hold.
    with running("prepare-data", preset, config, overrides) as run, one_cluster():
        return stages.prepare(run)
