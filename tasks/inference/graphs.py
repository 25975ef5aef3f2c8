"""ONNX graphs as they serve: CPU, one thread, and a row's answer does not depend on the rows beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from storage.errors import CorruptArtifact

ERRORS_ONLY = 3
CHUNK_ROWS = 256  # bounds the memory of a forward, whatever the number of rows
# This operator takes its scale from the whole batch: in one with others, a row's probabilities moved by up to 0.02 and one class in 400
DEPENDS_ON_BATCH = b"DynamicQuantizeLinear"
RESTORED, ROUNDED = b"DequantizeLinear", b"QuantizeLinear"


@dataclass(frozen=True)
class Graph:
    """A loaded graph with input `x` and output `y`; `chunk` rows are computed at once."""

    session: onnxruntime.InferenceSession
    chunk: int

    def run(self, x: np.ndarray) -> np.ndarray:
        """(B, …) → (B, K) float32, for at least one row."""
        y_BK = [self._forward(x[at : at + self.chunk]) for at in range(0, len(x), self.chunk)]
        return y_BK[0] if len(y_BK) == 1 else np.concatenate(y_BK)

    def _forward(self, x: np.ndarray) -> np.ndarray:
        y = np.asarray(self.session.run(["y"], {"x": np.ascontiguousarray(x)})[0])
        return y.astype(np.float32, copy=False).reshape(len(x), -1)


def open_graph(model: Path) -> Graph:
    """The graph in the file `model`; CorruptArtifact when ONNX Runtime cannot load it.

    One thread: more processes serve more cores better, and two threads under contention can be a hundred times slower.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = model.read_bytes()
    if RESTORED in content and ROUNDED not in content:  # only weights are int8: restored once, not at each forward
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        # From bytes: the file may be replaced under its name, and no other file may be read beside it
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CorruptArtifact(
            f"{model.name}: ONNX Runtime cannot load it: {str(error)[:300]}; export it again"
        ) from error
    return Graph(session, 1 if DEPENDS_ON_BATCH in content else CHUNK_ROWS)
