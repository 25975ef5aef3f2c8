"""What a compression pass takes and returns.

Every pass is `apply(candidate, settings, context) -> Candidate`, `settings` being its section of the recipe; none measures itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto

from storage.errors import ConfigError
from tasks.sections import TrainSection
from tasks.splits import Samples, Split, epoch_order

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Candidate:
    """A model on its way: a torch `module` until it is exported, then a `graph` (module keeps the canonical weights)."""

    description: dict[str, Any]
    module: nn.Module | None = None
    graph: ModelProto | None = None

    def trainable(self, pass_name: str) -> nn.Module:
        """The module, for a pass that changes it; ConfigError when it is too late or there never was one."""
        if self.module is None:
            family = self.description["family"]
            raise ConfigError(
                f"pass {pass_name}: found a model of family {family}, wanted a network; put distil before it"
            )
        if self.graph is not None:
            raise ConfigError(
                f"pass {pass_name}: found an exported graph, wanted a network; put it before truncate and quantise"
            )
        return self.module

    def exported(self) -> tuple[Candidate, ModelProto]:
        """The candidate with its graph, exported now if it has none."""
        if self.graph is not None:
            return self, self.graph
        if self.module is None:
            raise ValueError("a candidate has a module or a graph")
        from tasks.nn.export import export  # a tree ensemble never needs torch

        graph = export(self.module, self.description)
        return replace(self, graph=graph), graph


@dataclass(frozen=True)
class Context:
    """What passes may use: rows, the train section, and the model that is compressed, as its answers only."""

    train: Samples
    validation: Split
    section: TrainSection
    teacher: Callable[[np.ndarray], np.ndarray]
    """Features (B, *shape) → (B, K) float32: log-probabilities, or standardised values."""
    tell: Callable[..., None]

    def calibration_rows(self, count: int) -> np.ndarray:
        """Features of `count` training rows (all, where there are fewer), chosen by the seed."""
        return self.train.batch(epoch_order(len(self.train), self.section.seed, 0)[:count])[0]
