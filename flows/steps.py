"""The steps, declared once: name, function, configuration section, inputs. No Prefect here: flows run it, a plan reads it."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.caching import StepCache
from tasks.judgement import holds_alias


@dataclass(frozen=True)
class Step:
    """One cached, retried unit. `sections` and `inputs`: the function's parameters that are configuration, and refs or facts."""

    name: str
    function: str  # "module:name"
    sections: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    valid: Any = None  # of a hit: why it does not count all the same, by the inputs; see StepCache

    @property
    def cache(self) -> StepCache:
        """The step's cache; the same that its Prefect task has."""
        return StepCache(self.name, self.function, self.valid)

    def parameters(self, config: Any, inputs: Mapping[str, Any], storage: str) -> dict[str, Any]:
        """The arguments of the function: its sections of the configuration, its inputs, and the store's URL."""
        return {**{name: getattr(config, name) for name in self.sections}, **inputs, "storage": storage}

    def load(self) -> Any:
        """The Prefect task behind this step (imports Prefect and the stage)."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)


PREPARE = Step("prepare", "tasks.preparation:prepare", sections=("data", "cluster"), inputs=("identity",))
FIT = Step("fit", "tasks.preparation:fit", sections=("transforms",), inputs=("dataset", "pinned", "tokenizer"))
ENCODE = Step("encode", "tasks.preparation:encode", sections=("cluster",), inputs=("dataset", "transforms"))
TRAIN = Step("train", "tasks.training:train", sections=("train",), inputs=("device", "features"))
COMPRESS = Step(
    "compress",
    "tasks.compression:compress",
    sections=("train",),
    inputs=("recipe", "device", "model", "features", "transforms"),
)
SCORE = Step("score", "tasks.evaluation:score", inputs=("artifact", "features", "confidence", "resamples", "seed"))
MEASURE = Step("measure", "tasks.evaluation:measure", inputs=("artifacts", "baseline", "features", "processor"))
CHOOSE = Step(
    "choose", "tasks.evaluation:choose", sections=("evaluate",), inputs=("everyone", "scores", "latency", "features")
)
JUDGE = Step(
    "judge", "tasks.evaluation:judge", sections=("evaluate",), inputs=("scores", "teacher", "features", "champion")
)
RELEASE = Step(
    "release",
    "tasks.release:release",
    sections=("release",),
    inputs=("name", "artifact", "dataset", "scores", "expected_version"),
    valid=holds_alias,
)

STEPS = (PREPARE, FIT, ENCODE, TRAIN, COMPRESS, SCORE, MEASURE, CHOOSE, JUDGE, RELEASE)
