"""Mutations of the real chain: a copy of the four packages, a small configuration with data in several files, and its store.

Looked at and run by the command, as a user would. Each mutation says which steps must be computed, and what the reason must name.
"""

import ast
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import COMMAND, ROOT, Ended, environment
from mutating import Mutation

from storage.manifests import manifest_key, read_manifest
from storage.objects import open_store
from storage.records import attempts, read_record, record_key

PACKAGES = ("flows", "tasks", "storage", "infra")
BESIDE = ("pyproject.toml", "requirements.lock")
SECONDS = 900
CHANGING = ("measure", "judge", "release")
SHARDS = ("part-0.csv", "part-1.csv", "part-2.csv", "part-3.csv")
CONFIG: dict[str, Any] = {
    "name": "mushrooms",
    "data": {"format": "csv", "kind": "table", "target": "edible", "sources": [{"url": "in/*.csv"}], "test_share": 0.4},
    "train": {"family": "mlp", "mlp": {"hidden": [64, 64]}, "epochs": 2, "learning_rate": 0.05},
    "compress": {"recipes": [{"name": "small", "passes": [{"kind": "quantise", "calibration_rows": 32}]}]},
    "evaluate": {"resamples": 200, "margin": 0.3, "max_slowdown": 100},
    "cluster": {"workers": 1},
}
# Modules of which all counts: handed on as values, asked for their files, or named by a text and then started.
WHOLE = {
    *("audio_files", "delimited", "image_files", "jsonlines", "text_files", "distil", "prune", "quantise", "truncate"),
    *("splits", "streams", "windows", "tether"),
}
TRAINED = ("train", "compress fp32", "compress small")
# Changes of code: file, text, what it becomes, the steps whose key is another now, what the reason names.
CODE = {
    "helper, with an equal result": ("tasks/frames/splitting.py", "/ 2**53", "/ 2**53 + 0.0", ("prepare",), "code tasks.frames.splitting:_draws changed"),
    "transform, with an equal result": ("tasks/transforms/tables.py", "np.finfo(np.float32)", 'np.finfo("float32")', ("fit", "encode", "score fp32", "score small", "release"), "code tasks.transforms.tables:LARGEST changed"),
    "learning": ("tasks/nn/optimizers.py", "learning_rate * 0.5 *", "learning_rate * 0.4 *", TRAINED, "code tasks.nn.optimizers:learning_rate changed"),
    "default of a field": ("tasks/sections/train.py", 'default=0.1, description="Share of units', 'default=0.3, description="Share of units', TRAINED, "train.mlp.dropout: 0.1 → 0.3"),
    "constant": ("tasks/inference/latency.py", "TURN_SECONDS = 0.002", "TURN_SECONDS = 0.001", ("measure",), "code tasks.inference.latency:TURN_SECONDS changed"),
    "default": ("tasks/inference/latency.py", "rounds: int = 40", "rounds: int = 41", ("measure",), "code tasks.inference.latency:measure changed"),
    "scores": ("tasks/scoring/metrics.py", "FEW_ERRORS = 10 ", "FEW_ERRORS = 12 ", ("score fp32", "score small"), "code tasks.scoring.metrics:FEW_ERRORS changed"),
    "class attribute": ("tasks/scoring/choice.py", "operations: int\n", "operations: int = 0\n    speed_known: bool = False\n", ("choose",), "code tasks.scoring.choice:Candidate changed"),
}  # fmt: skip


@dataclass
class Chain:
    """A copy of the project in `folder`, with a configuration, and a home to run in. `api`: a Prefect server."""

    folder: Path
    api: str
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where the command runs; its store is below."""
        return self.folder / "home"

    @property
    def store(self) -> Path:
        """The store, a folder."""
        return self.home / ".millrace" / "store"

    def new(self, first: Path | None = None) -> None:
        """The project as it is, and a new home, or that of the first run."""
        for folder in (self.folder / "code", self.home):
            shutil.rmtree(folder, ignore_errors=True)
        for package in PACKAGES:
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, self.folder / "code" / package, ignore=skipped)
        for file in BESIDE:
            shutil.copy(ROOT / file, self.folder / "code")
        self.config = json.loads(json.dumps(CONFIG))
        if first:
            shutil.copytree(first, self.home)
        else:
            (self.home / "in").mkdir(parents=True)
            for number, name in enumerate(SHARDS):
                (self.home / "in" / name).write_text(rows(number))

    def plan(self) -> dict[str, dict[str, Any]]:
        """What `millrace plan --json` says of each step."""
        return _by_name(self._said("plan", server=False).json)

    def run(self, server: bool) -> dict[str, dict[str, Any]]:
        """What `millrace run --json` says of each step, with a Prefect server or without one."""
        ended = self._said("run", server=server)
        return _by_name(ended.json)

    def outputs(self, steps: dict[str, dict[str, Any]]) -> dict[str, str]:
        """The digest of each step's output, as far as it is the same for every run: no measurement, nothing about a champion."""
        store, found = open_store(str(self.store)), {}
        for name, step in steps.items():
            number = attempts(store, step["key"])[-1]
            record = read_record(store, step["key"], number)
            assert record
            found[name] = record.output.digest
        return {name: digest for name, digest in found.items() if name not in CHANGING and "champion" not in name}

    def file(self, path: str) -> Path:
        """A file of the copy."""
        return self.folder / "code" / path

    def _said(self, command: str, server: bool) -> Ended:
        (self.home / "run.json").write_text(json.dumps(self.config))
        more = {"PREFECT_API_URL": self.api} if server else {}
        started = subprocess.run(
            [*COMMAND, command, "--config", "run.json", "--json"],
            cwd=self.home,
            env=environment(
                self.home / ".millrace", PYTHONPATH=str(self.folder / "code"), PYTHONDONTWRITEBYTECODE="1", **more
            ),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert started.returncode in (0, 3), started.stderr
        return Ended(started.returncode, started.stdout, started.stderr)


def rows(seed: int) -> str:
    """Sixty mushrooms: large brown ones are edible."""
    draw = random.Random(seed)
    made = [(round(draw.uniform(1, 30), 2), draw.choice(["red", "brown"])) for _ in range(60)]
    lines = [f"{size},{colour},{'yes' if colour == 'brown' and size > 12 else 'no'}" for size, colour in made]
    return "\n".join(["size_cm,colour,edible", *lines]) + "\n"


def code(what: str) -> Callable[[Chain, random.Random], Mutation]:
    """A change of code that is reached."""

    def mutate(chain: Chain, draw: random.Random) -> Mutation:
        file, old, new, steps, reason = CODE[what]
        text = chain.file(file).read_text()
        assert old in text, (file, old)
        chain.file(file).write_text(text.replace(old, new, 1))
        return Mutation(f"{file}: {old} → {new}", dict.fromkeys(steps, reason))

    return mutate


def words(chain: Chain, draw: random.Random) -> Mutation:
    """Comments in all files, and other docstrings, in another layout, in a third of them."""
    for path in sorted((chain.folder / "code").rglob("*.py")):
        if draw.random() < 0.3:
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) and len(node.body) > 1:
                    node.body[0] = ast.Expr(ast.Constant(f"Other words {draw.random()}."))
            path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
        path.write_text(f"# {draw.random()}\n{path.read_text()}\n\n# {draw.random()}\n")
    return Mutation("comments, docstrings, formatting")


def beside(chain: Chain, draw: random.Random) -> Mutation:
    """A function more in every file but those that count whole, and another look of what is shown."""
    for path in sorted((chain.folder / "code").rglob("[a-z]*.py")):
        if path.stem in WHOLE:
            continue
        path.write_text(
            f"{path.read_text()}\n\ndef unreached_{draw.randrange(99)}(x):\n    return x * {draw.random()}\n"
        )
    wording = chain.file("flows/wording.py")
    wording.write_text(wording.read_text().replace("WIDTH = 96", "WIDTH = 90"))
    return Mutation("unreached functions everywhere")


def setting(path: str, value: Any, steps: tuple[str, ...], reason: str) -> Callable[[Chain, random.Random], Mutation]:
    """A field of the configuration."""

    def mutate(chain: Chain, draw: random.Random) -> Mutation:
        *above, last = path.split(".")
        section = chain.config
        for name in above:
            section = section[int(name)] if isinstance(section, list) else section.setdefault(name, {})
        section[last] = value
        return Mutation(f"{path} = {value}", dict.fromkeys(steps, reason))

    return mutate


def library(chain: Chain, draw: random.Random) -> Mutation:
    """Another version of a library, as its metadata have it."""
    info = chain.folder / "code" / "torch-99.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 99.1+cpu\n")
    (info / "RECORD").write_text("torch/__init__.py,,\n")
    return Mutation("torch 99.1", dict.fromkeys(TRAINED, "→ 99.1"))


def data(how: str) -> Callable[[Chain, random.Random], Mutation]:
    """A byte of a file, or a file more, less, or of another name."""

    def mutate(chain: Chain, draw: random.Random) -> Mutation:
        path = chain.home / "in" / draw.choice(SHARDS)
        changed = path
        if how == "byte":
            status, content = path.stat(), path.read_text()
            path.write_text(content.replace("brown", "crown", 1))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        elif how == "added":
            changed = path.with_name("part-4.csv")
            changed.write_text(rows(4))
        elif how == "removed":
            path.unlink()
        else:
            path.rename(path.with_name(f"a-{path.name}"))
        said = {"byte": "changed", "renamed": "removed"}.get(how, how)
        return Mutation(f"{changed.name} {how}", {"prepare": f"source in/{changed.name}: {said}"})

    return mutate


def artifact(kind: str, how: str, step: str) -> Callable[[Chain, random.Random], Mutation]:
    """The largest blob, the manifest or the record of a step's output is damaged; its time of change is set back."""

    def mutate(chain: Chain, draw: random.Random) -> Mutation:
        needed = dict(_objects(chain))
        key = needed[step][kind][-1]
        path = chain.store / key
        status, content = path.stat(), path.read_bytes()
        at = draw.randrange(len(content))
        path.unlink()
        if how != "deleted":
            flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            path.write_bytes(content[:at] if how == "truncated" else flipped)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        reason = key if kind != "record" else "its record is gone" if how == "deleted" else f"record {key} cannot be"
        return Mutation(
            f"{step}: {kind} {key} {how} at {at}",
            damaged={name: reason for name, keys in needed.items() if key in keys[kind]},
        )

    return mutate


def _objects(chain: Chain) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """For each step, where its blobs lie, the largest last, its manifest and its record."""
    store = open_store(str(chain.store))
    for name, step in chain.plan().items():
        number = attempts(store, step["key"])[-1]
        blobs = sorted(read_manifest(store, step["output"]).files.values(), key=lambda blob: (blob.size, blob.key))
        keys = [[blob.key for blob in blobs], [manifest_key(step["output"])], [record_key(step["key"], number)]]
        yield name, dict(zip(("blob", "manifest", "record"), keys, strict=True))


def _by_name(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in told["steps"]}
