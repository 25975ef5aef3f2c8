"""Stage prepare: raw rows to a checked, split data set; transforms fitted on its training rows; model inputs as arrays.

What is heavy (pandas, Dask) is imported where it is needed, so that a run that finds everything cached never loads it.
"""

from typing import Any

from storage.errors import SchemaError
from storage.manifests import put_files, read_manifest
from storage.objects import open_store
from storage.refs import DatasetRef, FeaturesRef, TransformsRef
from storage.root import scratch_folder
from tasks.frames.identity import source_identity
from tasks.policies import step
from tasks.progress import reporter
from tasks.sections import ClusterSection, DataSection, TransformsSection
from tasks.stored import read_files


@step("prepare")
def prepare(data: DataSection, identity: dict[str, Any], cluster: ClusterSection, storage: str) -> DatasetRef:
    """Read, check, split. `identity`: the sources' content digests, which with `data` decide the result."""
    from infra.agreement import Work
    from infra.clusters import open_cluster
    from tasks.frames.prepare import prepare_dataset

    report = reporter("prepare")
    work = Work(code="tasks.frames.prepare", store=storage, own=data.own_code())
    digest = prepare_dataset(data, open_store(storage), lambda: open_cluster(cluster, report, work), report)
    if source_identity(data) != identity:
        raise SchemaError("data.sources: a file was changed while it was read; its rows are not kept, run again")
    return DatasetRef(storage, digest)


@step("fit")
def fit(transforms: TransformsSection, dataset: DatasetRef, storage: str) -> TransformsRef:
    """Fit tokenizer, scaler, categories and label names on the training rows."""
    from tasks.frames.fitting import fit_transforms

    store = open_store(storage)
    files = fit_transforms(transforms, store, dataset.digest)
    return TransformsRef(storage, put_files(store, "transforms", files, {"dataset": dataset.digest}))


@step("encode")
def encode(dataset: DatasetRef, transforms: TransformsRef, storage: str) -> FeaturesRef:
    """Apply fitted transforms to every row of every split."""
    from tasks.frames.encoding import encode as encode_rows

    store = open_store(storage)
    fitted = read_files(store, read_manifest(store, transforms.digest))
    with scratch_folder("encode") as folder:
        files, meta = encode_rows(store, dataset.digest, fitted, folder)
        meta = {**meta, "dataset": dataset.digest, "transforms": transforms.digest}
        return FeaturesRef(storage, put_files(store, "features", files, meta))
