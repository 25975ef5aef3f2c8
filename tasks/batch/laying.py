"""Predictions laid out where the user wants them: each file whole or not at all, and at the end nothing of an earlier run.

`_summary.json` names every file; what begins with `_` readers of Parquet folders (Arrow, Spark, pandas) pass over. It is written first, with
`complete` false and all that may be found, then the files, then again: so what an interrupted run left is known as ours.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from storage.blobs import Blob, fetch_blob
from storage.engines import locate
from storage.errors import ConfigError, NotFound
from storage.leftovers import find_leftovers
from storage.manifests import read_manifest
from storage.measuring import measured
from storage.objects import ObjectStore, open_store
from tasks.frames.sources import MAGIC, File

SUMMARY, PREDICTIONS, QUARANTINE = "_summary.json", "predictions/", "_quarantine/"
Report = Callable[[dict[str, Any]], None]


def lay_out(store: ObjectStore, digest: str, output: str, facts: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Write the predictions of that digest to `output`, and a summary of `facts` and files there; the summary.

    What is there already, and whole, is left as it is. ConfigError where files lie there that no batch prediction wrote.
    """
    target = open_store(output)
    target.remove_empty("probes")  # of its opening
    files = {_place(name): blob for name, blob in read_manifest(store, digest).files.items()}
    summary = {**facts, "files": {name: [blob.digest, blob.size] for name, blob in files.items()}}
    before = _before(target)
    _put(target, {"complete": False, "files": {**before, **summary["files"]}})
    for number, (name, blob) in enumerate(files.items(), 1):
        if not _is_there(target, name, blob, before.get(name)):
            target.put(name, fetch_blob(store, blob))
        report({"done": number, "total": len(files)})
    _remove(target, before.keys() - files.keys())
    _put(target, {"complete": True, **summary})
    return summary


def output_lease(output: str) -> str:
    """The name of the lease by which those who write into the same place wait for one another."""
    return f"output-{hashlib.sha256(_plain(locate(output).url).encode()).hexdigest()[:32]}"


def check_apart(output: str, sources: Iterable[str], files: Iterable[File]) -> None:
    """ConfigError where the output would be read as a source: now, or by the next run."""
    place = _plain(locate(output).url)
    for url in sources:
        if not any(char in url for char in MAGIC) and f"{place}/".startswith(f"{_plain(url)}/"):
            raise ConfigError(
                f"output {output}: lies in the source {url}, and would be read as one; name another folder"
            )
    for file in files:
        if _plain(file.url).startswith(f"{place}/"):
            raise ConfigError(f"output {output}: the source {file.name} lies in it; name another folder")


def _plain(url: str) -> str:
    """A local path as an absolute one without links, a URL without its last slash."""
    path = url.removeprefix("file://")
    return url.rstrip("/") if "://" in path else os.path.realpath(os.path.expanduser(path))


def _place(name: str) -> str:
    return name.removeprefix(PREDICTIONS) if name.startswith(PREDICTIONS) else f"_{name}"


def _before(target: ObjectStore) -> dict[str, Any]:
    """The files that an earlier run says it wrote, or was about to write, with digest and size."""
    try:
        known = dict(json.loads(target.get(SUMMARY))["files"])
    except NotFound:
        known = {}
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"output {target.url}: {SUMMARY} is none of a batch prediction; name another folder, or empty it"
        ) from None
    foreign = next((item.key for item in target.survey("") if item.key not in known and item.key != SUMMARY), None)
    if foreign is not None:
        raise ConfigError(
            f"output {target.url}: found {foreign}, which no batch prediction wrote; name an empty folder, or a new one"
        )
    return known


def _is_there(target: ObjectStore, name: str, blob: Blob, known: Any) -> bool:
    """Whether the file is whole: on this machine by its content, in a cloud by its size and what was written before."""
    path = target.local_path(name)
    if path is not None:
        return measured(path) == (blob.size, blob.digest)
    return known == [blob.digest, blob.size] and target.size(name) == blob.size


def _remove(target: ObjectStore, names: Iterable[str]) -> None:
    target.delete_many(sorted(names))
    for folder in {name.rpartition("/")[0] for name in names} - {""}:
        target.remove_empty(folder)
    if locate(target.url).folder:
        for leftover in find_leftovers(target, time.time()):
            leftover.remove()


def _put(target: ObjectStore, summary: Mapping[str, Any]) -> None:
    target.put(SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False).encode() + b"\n")
