"""Stage prepare: raw rows to a checked, split data set; transforms fitted on its training rows; model inputs as arrays.

What is heavy (pandas, Dask) is imported where it is needed, so that a run that finds everything cached never loads it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from storage.errors import SchemaError
from storage.manifests import put_files
from storage.objects import open_store
from storage.refs import DatasetRef, FeaturesRef, TransformsRef
from tasks.frames.identity import as_identity, identified
from tasks.frames.sources import File
from tasks.policies import step
from tasks.progress import Event, reporter
from tasks.sections import ClusterSection, DataSection, TransformsSection


@step("prepare")
def prepare(data: DataSection, identity: dict[str, Any], cluster: ClusterSection, storage: str) -> DatasetRef:
    """Read, check, split. `identity`: the sources' content digests, which with `data` decide the result."""
    from tasks.frames.prepare import prepare_dataset

    report, code = reporter("prepare"), "tasks.frames.prepare:prepare_dataset"
    digest = prepare_dataset(
        data,
        _unchanged(data, identity),
        open_store(storage),
        lambda: _open(cluster, report, code, storage, data.own_code()),
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
    from tasks.frames.crews import crew
    from tasks.frames.encoding import encode as encode_rows
    from tasks.frames.encoding import is_little

    report, code = reporter("encode"), "tasks.frames.encoding:encode"
    with crew(lambda: _open(cluster, report, code, storage), is_little) as spread:
        digest = encode_rows(open_store(storage), dataset.digest, transforms.digest, spread, report)
    return FeaturesRef(storage, digest)


def _open(
    cluster: ClusterSection, report: Callable[[Event], None], code: str, storage: str, own: tuple[str, ...] = ()
) -> AbstractContextManager[Any]:
    """A client of the cluster for work that begins with the function `code`; Dask is loaded only here."""
    from infra.agreement import Work
    from infra.clusters import open_cluster

    return open_cluster(cluster, report, Work(code, storage, own))
