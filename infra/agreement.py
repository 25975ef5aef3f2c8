"""What workers elsewhere must have in common with this run, or its result would be another: code, libraries, and the store.

A step's key covers the code and the libraries of the process that asks for the step; here the workers are held to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client

from storage.errors import ConfigError, MillraceError
from storage.fingerprints import reach
from storage.objects import ObjectStore, open_store

DASK = ("python", "dask", "distributed")
NEXT_STEP = "use the same image, or install the same Millrace and requirements on all of them"


@dataclass(frozen=True)
class Work:
    """What a cluster is opened for. `code`: the function that the work begins with, as `module:name`; `store`: the URL that it reads and writes.

    `own`: the user's functions that it calls, as `module:name`.
    """

    code: str
    store: str
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outfit:
    """What one process has: the fingerprint of the code, the libraries' versions, and what keeps it from the store."""

    code: str
    libraries: Mapping[str, str]
    own: tuple[str, ...] = ()
    store_fault: str = ""


def check_agreement(client: Client, work: Work) -> None:
    """ConfigError naming the first worker that could not do `work` as this process would, and what it has instead."""
    versions: Any = client.get_versions()
    _compare_dask(versions)
    store = open_store(work.store)
    marker = f"probes/{uuid4().hex}"
    store.put(marker, b"")
    try:
        found: Any = client.run(outfit, work, marker, on_error="return")
    finally:
        store.delete(marker)
    ours = _outfit(work)
    for worker, theirs in sorted(found.items()):
        _compare(worker, theirs, ours, store)


def outfit(work: Work, marker: str) -> Outfit:
    """What the process has that this runs in. `marker`: a key that is in the store."""
    return replace(_outfit(work), store_fault=_store_fault(work.store, marker))


def _outfit(work: Work) -> Outfit:
    code = reach(work.code, *work.own)
    return Outfit(code.digest, code.libraries, work.own)


def _store_fault(url: str, marker: str) -> str:
    if "://" not in url:  # a folder is not opened: that would make it
        return "" if (Path(url) / marker).exists() else "it does not see that folder"
    try:
        return "" if open_store(url).size(marker) is not None else "it does not see what was just written"
    except MillraceError as error:
        return str(error)


def _compare(worker: str, theirs: Any, ours: Outfit, store: ObjectStore) -> None:
    if isinstance(theirs, BaseException):  # a module that cannot be imported there, as a rule
        raise ConfigError(f"cluster: worker {worker} cannot begin the work ({theirs}); {NEXT_STEP}")
    for name, version in ours.libraries.items():
        if theirs.libraries.get(name) != version:
            raise ConfigError(
                f"cluster: worker {worker} has {name} {theirs.libraries.get(name, 'not at all')}, wanted {version} as here; {NEXT_STEP}"
            )
    if theirs.code != ours.code:
        whose = " or in " + ", ".join(ours.own) if ours.own else ""
        raise ConfigError(f"cluster: worker {worker} has other code of Millrace{whose} than this run; {NEXT_STEP}")
    if theirs.store_fault:
        raise ConfigError(
            f"cluster: worker {worker} cannot use the store {store.url}: {theirs.store_fault}; a folder must be shared between all machines, "
            "a bucket needs its credentials in each worker's environment"
        )


def _compare_dask(versions: Mapping[str, Any]) -> None:
    """Python's minor version and Dask's exact one must be the same, or neither side can read what the other writes."""
    ours = versions["client"]["packages"]
    others = {"the scheduler": versions["scheduler"]}
    others |= {f"worker {worker}": theirs for worker, theirs in versions["workers"].items()}
    for name, theirs in others.items():
        packages = (theirs or {}).get("packages", {})
        for package in DASK:
            found, wanted = _version(package, packages), _version(package, ours)
            if found != wanted:
                raise ConfigError(f"cluster: {name} has {package} {found}, wanted {wanted} as here; {NEXT_STEP}")


def _version(package: str, packages: Mapping[str, str | None]) -> str:
    """Of Python's `3.11.7.final.0` the part that pickled code depends on."""
    version = packages.get(package) or "unknown"
    return ".".join(version.split(".")[:2]) if package == "python" else version
