"""The cache of one step, by itself: what is found, what is computed, and what a function is given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from packages import Package, package

from storage.manifests import put_files, read_manifest
from storage.objects import ObjectStore, open_store
from storage.records import put_record
from storage.refs import ModelRef
from tasks.caching import StepCache, asked

__all__ = ["package"]


@dataclass
class Counted:
    """A step whose work is to keep its inputs; `calls`: how often it was done."""

    cache: StepCache
    store: ObjectStore
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    def work(self, storage: str, **inputs: Any) -> ModelRef:
        """What is computed."""
        self.calls.append(inputs)
        content = json.dumps(inputs).encode()
        return ModelRef(storage, put_files(self.store, "model", {"value.json": content}, {}))

    def result(self, **inputs: Any) -> ModelRef:
        """What the cache gives."""
        return self.cache.result(self.work, {**inputs, "storage": self.store.url}, lambda: None)  # type: ignore[return-value]

    def blob(self, ref: ModelRef) -> Path:
        """The file behind an output."""
        path = self.store.local_path(read_manifest(self.store, ref.digest).files["value.json"].key)
        assert path
        return path


@pytest.fixture
def step(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    package.write({"main.py": "def run(x): return x\n"})
    return Counted(StepCache("step", f"{package.name}.main:run"), open_store(str(tmp_path / "store")))


def test_what_was_found_damaged_is_computed_though_another_step_has_mended_it_meanwhile(step: Counted):
    """So a step that a plan says must run does run."""
    path = step.blob(step.result(x=1))
    content = path.read_bytes()
    path.unlink()
    inputs = {"x": 1, "storage": step.store.url}
    parts = step.cache.parts(inputs)
    lookup = step.cache.look_up(parts, inputs)
    assert lookup.damage
    path.write_bytes(content)
    with asked(parts, lookup):
        step.result(x=1)
    assert len(step.calls) == 2


def test_what_was_found_damaged_is_not_computed_where_another_run_has_just_done_so(step: Counted):
    path = step.blob(step.result(x=1))
    content = path.read_bytes()
    inputs = {"x": 1, "storage": step.store.url}
    parts = step.cache.parts(inputs)
    whole = step.cache.look_up(parts, inputs).record
    path.unlink()
    lookup = step.cache.look_up(parts, inputs)
    assert whole
    assert lookup.record is None
    path.write_bytes(content)
    put_record(step.store, whole)
    with asked(parts, lookup):
        assert step.result(x=1) == whole.output
    assert len(step.calls) == 1


def test_a_mapping_is_given_in_one_order_as_it_has_one_key(step: Counted):
    """What a function makes of the order would else be found for another order, too."""
    first = step.result(x={"b": {"d": 1, "c": 2}, "a": [{"f": 1, "e": 2}]})
    assert json.dumps(step.calls[0]["x"]) == '{"a": [{"e": 2, "f": 1}], "b": {"c": 2, "d": 1}}'
    assert step.result(x={"a": [{"e": 2, "f": 1}], "b": {"c": 2, "d": 1}}) == first
    assert len(step.calls) == 1
