"""prepare: raw rows → checked, split data set → fitted transforms → features."""

from flows import stages
from flows.datasets import source_changes
from flows.flow import flow
from flows.parameters import Config, Overrides, Preset
from flows.running import running
from flows.stages import Prepared
from infra.sharing import one_cluster
from storage.objects import open_store


@flow(name="prepare-data")
def prepare_data(preset: Preset = None, config: Config = None, overrides: Overrides = None) -> Prepared:
    """Read, check and split the sources; fit the transforms on training rows; make the features."""
    # Its cluster ends here and not with the run: training wants the memory and the processors that the workers would hold.
    with running("prepare-data", preset, config, overrides) as run, one_cluster():
        prepared = stages.prepare(run)
        run.journal.changes = source_changes(
            open_store(run.storage), prepared.dataset.digest, run.config.name, run.journal.run_id
        )
        if run.journal.changes:
            run.report("prepare", {"event": "the source has changed", "reason": "; ".join(run.journal.changes)})
        return prepared
