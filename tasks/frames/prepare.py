"""The work of stage prepare: plan the shards, process those that are not known yet, and put the data set's manifest."""

from collections.abc import Sequence

from storage.manifests import put_manifest
from storage.objects import ObjectStore
from tasks.frames.assembling import assemble
from tasks.frames.crews import OpenClient, crew
from tasks.frames.planning import make_plan, processing
from tasks.frames.shelved import Report, complete, is_little
from tasks.frames.sources import File
from tasks.frames.splitting import carved_shares
from tasks.frames.withdrawing import hold_unique
from tasks.sections import DataSection


def prepare_dataset(
    section: DataSection,
    located: Sequence[Sequence[File]],
    store: ObjectStore,
    open_client: OpenClient,
    report: Report,
    alone: bool = False,
) -> str:
    """The digest of the data set that `section` describes: the same on every cluster, however many workers come and go.

    `located`: the identified files of each source. `alone`: what is little is done in this process, and no cluster opened for it.
    SchemaError where data do not fit, too many rows are refused, or a split is left empty; NotFound where a source matches
    nothing; WorkerLost where the cluster is gone.
    """
    carved_shares(section)
    with crew(open_client, lambda batches: alone and is_little(batches)) as spread:
        plan = make_plan(section, located, store, spread, report)
        shards = complete(
            processing(plan, store), plan.pieces, spread, lambda event: report({"stage": "prepare", **event})
        )
    shards = hold_unique(plan.section, plan.schema, shards, store)
    return put_manifest(store, assemble(plan.section, plan.schema, shards, store))
