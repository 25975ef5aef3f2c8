"""A fresh place for a run that is made again: its stored source, an empty data root and store, and the interpreter that is to run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.foreground import run_in_foreground
from storage.errors import NotFound, ProcessFailed
from storage.snapshots import PROJECT_FILES, USERS

LOCK = PROJECT_FILES[1]
ASK_FILES = (
    "import importlib, json, sys; print(json.dumps({n: importlib.import_module(n).__file__ for n in sys.argv[1:]}))"
)
ASK_VERSIONS = "import importlib.metadata, json; print(json.dumps({d.name: d.version for d in importlib.metadata.distributions()}))"


@dataclass(frozen=True)
class Fresh:
    """A folder with a run's own source below it. `python`: the interpreter."""

    folder: Path
    python: str = sys.executable

    @property
    def source(self) -> Path:
        """Where the run's source is laid out."""
        return self.folder / "source"

    @property
    def root(self) -> Path:
        """The data root of the run that is made again; the store in it is the default one."""
        return self.folder / "root"

    def run(self, config: Mapping[str, Any], told: Mapping[str, str]) -> int:
        """Run the whole chain of `config` by the source; what it shows goes to standard error. The command's exit code.

        `told`: the variables by which S3, Google or Azure are reached. ProcessFailed where another Millrace would run.
        """
        self._check_source(told)
        file = self.folder / "config.yaml"
        file.write_text(json.dumps(config))  # JSON is YAML
        argv = [self.python, "-P", "-m", "flows.cli", "run", "--config", str(file), "--json"]
        with (self.folder / "summary.json").open("wb") as output:
            return run_in_foreground(argv, b"", environment=self._environment(told), output=output)

    @cached_property
    def version(self) -> str:
        """The interpreter's, as 3.12.1."""
        return self._asked("import json, platform; print(json.dumps(platform.python_version()))", {})

    def installed(self, libraries: Mapping[str, str]) -> dict[str, str]:
        """What the interpreter has of these libraries, by version."""
        found = {re.sub(r"[-_.]+", "-", name).lower(): told for name, told in self._asked(ASK_VERSIONS, {}).items()}
        return {name: found[name].partition("+")[0] for name in libraries if name in found}

    def _check_source(self, told: Mapping[str, str]) -> None:
        packages = sorted(path.name for path in self.source.iterdir() if (path / "__init__.py").is_file())
        for name, file in self._asked(ASK_FILES, told, *packages).items():
            if not Path(file).is_relative_to(self.source):
                raise ProcessFailed(
                    f"package {name}: {self.python} imports it from {file}, wanted the run's own source in {self.source}; "
                    "give a Python without a Millrace that comes first"
                )

    def _asked(self, code: str, told: Mapping[str, str], *arguments: str) -> Any:
        argv = [self.python, "-P", "-c", code, *arguments]
        ended = subprocess.run(argv, env=self._environment(told), capture_output=True, text=True, check=False)
        if ended.returncode:
            reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ProcessFailed(f"the stored source in {self.source} cannot be used by {self.python}: {reason}")
        return json.loads(ended.stdout)

    def _environment(self, told: Mapping[str, str]) -> dict[str, str]:
        """Nothing of this installation's place: neither its source nor its data root, nor keys that are kept in variables of ours."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MILLRACE_", "PYTHON"))}
        path = os.pathsep.join(map(str, (self.source, self.source / USERS)))
        return {**kept, **told, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "MILLRACE_ROOT": str(self.root)}


def install(fresh: Fresh, python: str) -> Fresh:
    """With a new environment of what the run's lock file names, by the same Python (3.12, say) where there is one.

    NotFound without a lock file, ProcessFailed where pip could not install it.
    """
    lock, folder = fresh.source / LOCK, fresh.folder / "environment"
    if not lock.is_file():
        raise NotFound(f"{LOCK}: the run's stored source has none; reproduce it with --environment same")
    minor = ".".join(python.split(".")[:2])
    same = sys.executable if fresh.version.startswith(f"{minor}.") else shutil.which(f"python{minor}")
    _told([same or sys.executable, "-m", "venv", "--without-pip", str(folder)])  # one's own takes ten seconds to unpack
    made = Fresh(fresh.folder, str(folder / "bin" / "python"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", made.python]
    _told([*pip, "install", "-r", str(lock)])
    return made


def _told(argv: list[str]) -> None:
    """Run a command whose output is for people."""
    ended = subprocess.run(argv, stdout=sys.stderr, check=False)
    if ended.returncode:
        raise ProcessFailed(f"{argv[2]}: ended with code {ended.returncode}; what it says is above")
