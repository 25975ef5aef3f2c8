"""Stage prepare: raw rows to a checked, split data set; transforms fitted on its training rows; model inputs as arrays.

What is heavy (pandas, Dask) is imported where it is needed, so that a run that finds everything cached never loads it.
"""

from typing import Any

from storage.errors import SchemaError
from storage.manifests import put_files
from storage.objects import open_store
from storage.refs import DatasetRef, FeaturesRef, TransformsRef
from tasks.frames.identity import as_identity, identified
from tasks.frames.sources import File
from tasks.policies import step
from tasks.progress import reporter
from tasks.sections import ClusterSection, DataSection, TransformsSection


@step("prepare")
def prepare(data: DataSection, identity: dict[str, Any], cluster: ClusterSection, storage: str) -> DatasetRef:
    """Read, check, split. `identity`: the sources' content digests, which with `data` decide the result."""
    from infra.agreement import Work
    from infra.clusters import open_cluster
    from tasks.frames.prepare import prepare_dataset

    report = reporter("prepare")
    work = Work(code="tasks.frames.prepare:prepare_dataset", store=storage, own=data.own_code())
    digest = prepare_dataset(
        data,
        _unchanged(data, identity),
        open_store(storage),
        lambda: open_cluster(cluster, report, work),
        report,
        alone=cluster.address == "local",
    )
    _unchanged(data, identity)
    return DatasetRef(storage, digest)


def _unchanged(data: DataSection, identity: dict[str, Any]) -> list[list[File]]:
    """The files of the sources; SchemaError where they are not those of `identity`."""
    located = identified(data)
    if as_identity(located) != identity:
        raise SchemaError("data.sources: a file was changed while it was read; its rows are not kept, run again")
    return located


@step("fit")
def fit(transforms: TransformsSection, dataset: DatasetRef, pinned: str, tokenizer: str, storage: str) -> TransformsRef:
    """Fit tokenizer, scaler, categories and label names on the training rows; `pinned`: a digest of transforms to take as they are;
    `tokenizer`: that of the file of a tokenizer to take as it is."""
    from tasks.frames.fitting import fit_transforms
    from tasks.frames.pinned import check_pinned

    store = open_store(storage)
    if pinned:
        check_pinned(store, pinned, dataset.digest)
        return TransformsRef(storage, pinned)
    files = fit_transforms(transforms, store, dataset.digest, tokenizer)
    return TransformsRef(storage, put_files(store, "transforms", files, {"dataset": dataset.digest}))


@step("encode")
def encode(dataset: DatasetRef, transforms: TransformsRef, cluster: ClusterSection, storage: str) -> FeaturesRef:
    """Apply fitted transforms to every row of every split."""
    from infra.agreement import Work
    from infra.clusters import open_cluster
    from tasks.frames.encoding import encode as encode_rows
    from tasks.frames.encoding import is_little
    from tasks.frames.gathering import crew

    report = reporter("encode")
    work = Work(code="tasks.frames.encoding:encode", store=storage)
    with crew(lambda: open_cluster(cluster, report, work), is_little) as spread:
        digest = encode_rows(open_store(storage), dataset.digest, transforms.digest, spread, report)
    return FeaturesRef(storage, digest)
