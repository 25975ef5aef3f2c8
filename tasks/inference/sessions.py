"""ONNX Runtime sessions as they serve: CPU, one thread, no spinning."""

from pathlib import Path

import onnxruntime

from storage.errors import CorruptArtifact

ERRORS_ONLY = 3


def open_session(model: Path) -> onnxruntime.InferenceSession:
    """A session over `model`; CorruptArtifact when ONNX Runtime cannot load it.

    One thread: more processes serve more cores better, and two threads under contention can be a hundred times slower.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # From bytes: the file may be replaced under its name, and no other file may be read beside it
        return onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CorruptArtifact(
            f"{model.name}: ONNX Runtime cannot load it: {str(error)[:300]}; export it again"
        ) from error
