"""The steps, declared once: name, function, configuration section, inputs. No Prefect here: flows run it, a plan reads it."""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One cached, retried unit. `sections` and `inputs`: the function's parameters that are configuration, and refs or facts."""

    name: str
    function: str  # "module:name"
    sections: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def load(self) -> Any:
        """The Prefect task behind this step (imports Prefect and the stage)."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)


PREPARE = Step("prepare", "tasks.preparation:prepare", sections=("data", "cluster"), inputs=("identity",))
FIT = Step("fit", "tasks.preparation:fit", sections=("transforms",), inputs=("dataset",))
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
RELEASE = Step(
    "release",
    "tasks.release:release",
    sections=("release",),
    inputs=("name", "artifact", "dataset", "scores", "expected_version"),
)

STEPS = (PREPARE, FIT, ENCODE, TRAIN, COMPRESS, SCORE, MEASURE, RELEASE)
