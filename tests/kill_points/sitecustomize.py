"""Test-only: Python imports this at its start where the folder is on PYTHONPATH, and then any process of a run can be stopped at a point.

SOAK_POINTS names a folder. Every point that is passed adds a line to `points.jsonl` there; where `stop.json` says at which one to stop,
and whom to kill, that is done there, for real: by a signal. Nothing here changes what the project's code does.
"""

import fcntl
import functools
import importlib.abc
import json
import os
import signal
import sys
import time
from importlib.machinery import PathFinder
from pathlib import Path

FOLDER = os.environ.get("SOAK_POINTS", "")
PROGRAMS = (
    "flows.cli",
    "flows.by_hand",
    "infra.local_cluster",
    "tasks.nn.trainer",
    "tasks.nn.compressor",
    "forkserver",
)


def program():
    """What this process is to the run; a worker is forked from Dask's fork server."""
    command = Path("/proc/self/cmdline").read_bytes().decode(errors="replace")
    return next((name for name in PROGRAMS if name in command), "other")


def at(point):
    """Pass a point: count it, and end here if this is the one."""
    if passed(point):
        stop(goes_on=True)


def stop(goes_on=False):
    """Kill whom `stop.json` names, and stay at this very point until the end of the others ends this process too.

    `goes_on`: unless the command is only asked to stop, and this is no half of a write: then this thread goes on, as any would.
    """
    (Path(FOLDER) / "reached").write_text(json.dumps({"at": time.time(), "pid": os.getpid()}))
    whom = json.loads((Path(FOLDER) / "stop.json").read_text())["whom"]
    if whom == "interrupt":
        os.killpg(above("flows.cli"), signal.SIGINT)
    else:
        os.kill(os.getpid() if whom == "self" else above(whom), signal.SIGKILL)
    time.sleep(1 if goes_on and whom == "interrupt" else 600)


def passed(point):
    """Whether this is the time, of this program at this point, at which to stop."""
    name = f"{point} of {program()}"
    with (Path(FOLDER) / "points.jsonl").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = sum(json.loads(line)["name"] == name for line in file) + 1
        file.write(json.dumps({"name": name, "number": number}) + "\n")
    stop = Path(FOLDER) / "stop.json"
    wanted = json.loads(stop.read_text()) if stop.exists() else {}
    return (wanted.get("name"), wanted.get("number")) == (name, number)


def above(name):
    """The nearest process above this one that runs `name`."""
    pid = os.getpid()
    while pid > 1:
        if name in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"):
            return pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    raise ProcessLookupError(name)


def around(function, before="", after=""):
    """`function` with a point before and one after it."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        if before:
            at(before)
        result = function(*args, **kwargs)
        if after:
            at(after)
        return result

    return run


def objects(module):
    """The store's writes: before, in the middle of an upload, after."""
    import obstore

    store, put = module.ObjectStore, module.ObjectStore.put

    def half(data):
        content = data if isinstance(data, bytes) else Path(data).read_bytes()
        yield content[: len(content) // 2]
        stop()

    @functools.wraps(put)
    def in_the_middle(self, key, data):
        if passed("write within"):
            obstore.put(self._engine, key, half(data), chunk_size=64)
        return put(self, key, data)

    store.put = around(in_the_middle, "write before", "write after")
    store.put_if_absent = around(store.put_if_absent, "create before", "create after")


def checkpoints(module):
    """A checkpoint's file half written, written and not yet named, named."""

    class System:
        def __getattr__(self, name):
            return getattr(os, name)

        def fsync(self, descriptor):
            if passed("checkpoint within"):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                stop()
            os.fsync(descriptor)
            at("checkpoint before its name")

    module.os = System()


def fit(module):
    """In mid-epoch, and at an epoch's end before and after its checkpoint."""
    module.Fit._update = around(module.Fit._update, after="step after")
    module.Fit._end_epoch = around(module.Fit._end_epoch, "epoch before", "epoch after")


def jobs(module):
    """A program's output folder: not yet there, and there."""
    module.write_folder = around(module.write_folder, "output before", "output after")


def patience(module):
    """Silence is borne for as many seconds as SOAK_PATIENCE says: nothing else about it is another."""
    module.PATIENCE_SECONDS = float(os.environ.get("SOAK_PATIENCE", module.PATIENCE_SECONDS))


def reading(module):
    """A stalled answer is given up after as many seconds as SOAK_READ says."""
    module.READ_SECONDS = float(os.environ.get("SOAK_READ", module.READ_SECONDS))


WATCHED = {
    "storage.objects": objects,
    "tasks.nn.checkpoints": checkpoints,
    "tasks.nn.fit": fit,
    "tasks.jobs": jobs,
    "storage.patience": patience,
    "storage.clouds": reading,
    "tasks.frames.filesystems": reading,
}


class Watch(importlib.abc.MetaPathFinder):
    """Has the modules above changed as soon as they are loaded."""

    def find_spec(self, name, path=None, target=None):
        change = WATCHED.get(name)
        spec = PathFinder.find_spec(name, path, target) if change else None
        if spec is None:
            return None
        load = spec.loader.exec_module

        def and_change(module):
            load(module)
            change(module)

        spec.loader.exec_module = and_change
        return spec


if FOLDER:
    sys.meta_path.insert(0, Watch())
