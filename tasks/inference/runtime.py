"""What a served model is to the service: a runtime behind one small interface. `Predictor` over ONNX Runtime is one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tasks.transforms.transforms import Transforms

if TYPE_CHECKING:
    from tasks.inference.generation import Generation
    from tasks.inference.wishes import Wish
    from tasks.transforms.tokens import TokenInput


class Runtime(Protocol):
    """A loaded version. `parse` and `predict` may be called from several threads at once."""

    @property
    def transforms(self) -> Transforms: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def tokens(self) -> "TokenInput | None": ...

    def parse(self, items: Sequence[object]) -> dict[str, list[Any]]:
        """A client's items as columns; ItemError names the first bad one."""
        ...

    def predict(self, columns: Mapping[str, Sequence[Any]]) -> tuple[list[Any], np.ndarray]:
        """Predictions and (B, K) outputs; ItemError for the first row that has no finite output."""
        ...

    def generate(self, wish: "Wish") -> "Generation":
        """The text that follows, where `tokens` is not None: iterate over it for its pieces."""
        ...
