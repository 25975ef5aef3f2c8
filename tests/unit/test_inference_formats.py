"""Only whole ONNX, JSON and safetensors are loaded, whatever a file is called."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from handmade import iris_files, onnx_model, write_files
from onnx import helper
from safetensors.numpy import save

from storage.errors import CorruptArtifact, Untrusted
from tasks.inference.formats import check_formats, is_onnx, is_safetensors
from tasks.inference.predictor import Predictor

MODEL = onnx_model(np.ones((4, 3)), np.zeros(3), producer_name="someone", doc_string="a model")
WEIGHTS = save({"weights": np.ones((4, 3), dtype=np.float32)})


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run by a pickle",))


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", content)
    return buffer.getvalue()


DISGUISES = [
    *(pickle.dumps(Evil(), protocol) for protocol in range(6)),
    zipped(pickle.dumps(Evil())),
    b"",
    MODEL[:-1],
    MODEL + pickle.dumps(Evil()),
    pickle.dumps(Evil()) + MODEL,
]


@pytest.mark.parametrize("content", DISGUISES)
@pytest.mark.parametrize("name", ["model.onnx", "model.json", "weights.safetensors"])
def test_a_disguise_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(Untrusted, match=name):
        check_formats(write_files({name: content}, tmp_path))


def test_a_refused_pickle_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=r"model.onnx: found a pickle, wanted onnx"):
        Predictor.load(write_files({**iris_files(), "model.onnx": pickle.dumps(Evil())}, tmp_path))


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model", "weights.bin", "model.onnx.data"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Untrusted, match="wanted ONNX, JSON or safetensors"):
        check_formats(write_files({name: b"{}"}, tmp_path))


def test_what_we_make_is_accepted(tmp_path: Path) -> None:
    check_formats(write_files({"a.onnx": MODEL, "b.safetensors": WEIGHTS, "c.json": b"{}"}, tmp_path))


def test_weights_in_another_file_are_refused() -> None:
    model = onnx.load_from_string(MODEL)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    assert not is_onnx(model.SerializeToString())


def elsewhere() -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[8])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def in_a_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=elsewhere()))


def in_a_branch(model: onnx.ModelProto) -> None:
    """ONNX Runtime reads it, from the folder that it runs in."""
    branch = helper.make_graph([], "branch", [], [], [elsewhere()])
    inner = helper.make_graph(
        [helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)], "", [], []
    )
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))


def in_a_function(model: onnx.ModelProto) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=elsewhere())
    model.functions.append(onnx.FunctionProto(name="f", domain="d", node=[constant]))


def in_a_sparse_tensor(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=elsewhere()))


@pytest.mark.parametrize("hide", [in_a_constant, in_a_branch, in_a_function, in_a_sparse_tensor])
def test_weights_in_another_file_are_found_however_deep_they_are_hidden(
    hide: Callable[[onnx.ModelProto], None],
) -> None:
    model = onnx.load_from_string(MODEL)
    hide(model)
    assert not is_onnx(model.SerializeToString())


def test_tensors_beyond_the_file_are_refused() -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()
    assert not is_safetensors(len(header).to_bytes(8, "little") + header + bytes(8))
    assert not is_safetensors((2**63).to_bytes(8, "little") + header)


def test_a_graph_that_does_not_fit_its_transforms_is_refused(tmp_path: Path) -> None:
    files = {**iris_files(), "model.onnx": onnx_model(np.ones((5, 3)), np.zeros(3))}
    with pytest.raises(CorruptArtifact, match=r"found the shape \[5\] a row, wanted \[4\]"):
        Predictor.load(write_files(files, tmp_path))
