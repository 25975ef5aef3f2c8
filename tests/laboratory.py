"""A made-up project on disk, with its configuration, data, libraries and store: planned, run and computed afresh.

Its steps run as those of the product do: `flows.running.Run` carries them out against a real Prefect server, `flows.planning.Plan` looks.
"""

import contextlib
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from flows.journal import FINISHED
from flows.planning import Plan, Planned, Undecided
from flows.running import Run
from flows.steps import Step
from storage.blobs import read_blob
from storage.manifests import read_manifest
from storage.objects import open_store
from storage.refs import Ref
from tasks.frames.identity import source_identity
from tasks.progress import set_run
from tasks.sections import NOT_IN_KEY, DataSection, Section, StorageSection

SOURCE = Path(__file__).parent / "lab_source"
FILES = {"part-0.csv": range(3, 40, 3), "part-1.csv": range(1, 99, 7), "part-2.csv": range(50, 80, 4)}
LIBRARIES = {"quill": "def ink(n):\n    return n * 2\n", "slate": "def wiped(n):\n    return -n\n"}

GATHER = Step("gather", "lab.preparing:gather", sections=("data",), inputs=("identity",))
FIT = Step("fit", "lab.preparing:fit", sections=("transforms",), inputs=("dataset",))
TRAIN = Step("train", "lab.learning:train", sections=("train",), inputs=("dataset", "transforms"))
SHRINK = Step("shrink", "lab.learning:shrink", inputs=("recipe", "model"))
PICK = Step("pick", "lab.judging:pick", sections=("evaluate",), inputs=("artifacts", "dataset"))
ANNOUNCE = Step("announce", "lab.judging:announce", inputs=("name", "artifact"))


class Curve(Section):
    """A section in a section."""

    depth: int = 2
    bend: float = 0.5


class Transforms(Section):
    """What is fitted."""

    width: int = 4
    curve: Curve = Field(default_factory=Curve)
    label: str = Field(default="", json_schema_extra=NOT_IN_KEY)


class Train(Section):
    """How the weight is found."""

    rule: str = "steep"
    rounds: int = 2
    notes: tuple[str, ...] = ()
    threads_shown: int = Field(default=1, json_schema_extra=NOT_IN_KEY)


class Recipe(Section):
    """One candidate."""

    name: str
    share: int


class Evaluate(Section):
    """How candidates are compared."""

    rows: int = 9


class LabConfig(Section):
    """The laboratory's configuration."""

    name: str = "lab"
    data: DataSection
    transforms: Transforms = Field(default_factory=Transforms)
    train: Train = Field(default_factory=Train)
    recipes: tuple[Recipe, ...] = (Recipe(name="a", share=3), Recipe(name="b", share=8))
    evaluate: Evaluate = Field(default_factory=Evaluate)
    storage: StorageSection


def chain(run: Any) -> None:
    """The laboratory's chain: gather → fit → train → shrink for each recipe → pick → announce."""
    dataset = run.step(GATHER, identity=source_identity(run.config.data))
    transforms = run.step(FIT, dataset=dataset)
    model = run.step(TRAIN, dataset=dataset, transforms=transforms)
    cases = {recipe.name: {"recipe": recipe, "model": model} for recipe in run.config.recipes}
    artifacts = run.each(SHRINK, cases, parallel=2)
    choice = run.step(PICK, artifacts=artifacts, dataset=dataset)
    name = run.read(chosen, choice)
    run.step(ANNOUNCE, name=name, artifact=artifacts[name])


def chosen(choice: Ref) -> str:
    """The name of the best candidate."""
    store = open_store(choice.uri)
    return json.loads(read_blob(store, read_manifest(store, choice.digest).files["value.json"]))["name"]


@dataclass
class Afresh:
    """Computes everything by plain calls in an empty store. `outputs`: digests by step; `inputs`: those that each step took."""

    config: LabConfig
    storage: str
    outputs: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)

    def step(self, step: Step, label: str = "", **inputs: Any) -> Any:
        """The function's result."""
        function, name = step.load().fn.__wrapped__, label or step.name
        output = function(**step.parameters(self.config, inputs, self.storage))
        self.outputs[name], self.inputs[name] = output.digest, _named(inputs)
        return output

    def each(self, step: Step, cases: Mapping[str, Mapping[str, Any]], parallel: int) -> dict[str, Any]:
        """The same for each case; a step is given mappings in the order of their keys."""
        return {case: self.step(step, f"{step.name} {case}", **cases[case]) for case in sorted(cases)}

    def read(self, function: Callable[..., Any], *values: Any) -> Any:
        """What `function` makes of outputs."""
        return function(*values)


@dataclass
class Laboratory:
    """The project in `folder`, as it is on disk now. `settings`: its configuration as nested values; `steps`: by key, of its first run."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """Its store, a folder."""
        return self.folder / "store"

    @property
    def config(self) -> LabConfig:
        """The configuration as sections."""
        return LabConfig.model_validate(self.settings)

    def new(self) -> None:
        """Everything as it is at first, but for the store."""
        for part in ("code", "data", "libraries"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
        shutil.copytree(SOURCE, self.folder / "code")
        (self.folder / "data").mkdir()
        for name, numbers in FILES.items():
            (self.folder / "data" / name).write_text("".join(f"{number}\n" for number in numbers))
        for name, code in LIBRARIES.items():
            self.library(name, "1.0")
            (self.folder / "libraries" / f"{name}.py").write_text(code)
        data = {"root": str(self.folder / "data"), "sources": [{"url": "*.csv"}], "kind": "table"}
        data |= {"target_names": {"x": "y", "z": "u"}}
        self.settings = {"data": data, "storage": {"url": str(self.store)}}

    def library(self, name: str, version: str) -> None:
        """Install this version of a library; of another one nothing is left."""
        for old in (self.folder / "libraries").glob(f"{name}-*"):
            shutil.rmtree(old)
        info = self.folder / "libraries" / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")

    def code(self) -> dict[str, Path]:
        """The files of its code by module."""
        found = {}
        for path in sorted((self.folder / "code").rglob("*.py")):
            parts = path.relative_to(self.folder / "code").with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
        return found

    def plan(self) -> dict[str, Planned]:
        """What a run would do: each step's state and reasons, by name."""
        self.forget()
        looking = Plan(self.config)  # type: ignore[arg-type]
        with contextlib.suppress(Undecided):
            chain(looking)
        return {step.name: step for step in looking.steps}

    def run(self) -> dict[str, dict[str, Any]]:
        """Run it; what is in the run's journal, by step."""
        self.forget()
        return {name: asdict(entry) for name, entry in _carried_out(self.config).steps.items()}

    def afresh(self) -> Afresh:
        """The same computed without any cache."""
        self.forget()
        store = self.folder / "empty"
        shutil.rmtree(store, ignore_errors=True)
        computed = Afresh(self.config, open_store(str(store)).url)
        chain(computed)
        return computed

    def calls(self) -> list[str]:
        """The steps that were computed since the last time this was asked."""
        file = Path(os.environ["LAB_CALLS"])
        found = file.read_text().split("\n")[:-1] if file.exists() else []
        file.unlink(missing_ok=True)
        return sorted(found)

    def forget(self) -> None:
        """As in a new process, no module of the project is loaded."""
        for name in [name for name in sys.modules if name.partition(".")[0] in ("lab", *LIBRARIES)]:
            del sys.modules[name]
        importlib.invalidate_caches()


def _named(inputs: Any) -> list[str]:
    if isinstance(inputs, Ref):
        return [inputs.digest]
    if isinstance(inputs, Mapping):
        return [text for name, value in inputs.items() if name != "identity" for text in _named(value)]
    return [inputs] if isinstance(inputs, str) else []


@flow(name="laboratory")
def _carried_out(config: LabConfig) -> Any:
    run = Run("laboratory", config)  # type: ignore[arg-type]
    set_run(run.journal.run_id, get_run_logger())
    chain(run)
    run.journal.keep(FINISHED)
    return run.journal
