"""What is not imported: each with the reason and the way out, nothing run, no version made, never a traceback."""

import gzip
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from handmade import ITEMS, ROWS, TARGETS, onnx_model
from imported import importing, linear_iris, write_irises, write_json
from onnx import NodeProto, TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from storage.errors import ConfigError, SchemaError
from tasks.graphs.foreign import End
from tasks.imports.inputs import Asked, image_of
from tasks.imports.kinds import SAFETENSORS
from tasks.imports.originals import open_original
from tasks.imports.tables import Rows, read_rows


class Trap:
    """An object whose pickle makes a folder when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


def with_joblib(path: Path) -> None:
    joblib.dump(LogisticRegression().fit(ROWS, TARGETS), path)


def with_zip_of(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "{}")

    return write


def old_torch(path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)


def outside(path: Path) -> None:
    model = onnx.load_model_from_string(linear_iris())
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def outside_and_sparse(path: Path) -> None:
    """A weight that ONNX Runtime would take from any file below or above the folder that it runs in."""
    (path.parent / "secret.bin").write_bytes(np.float32(7).tobytes())
    values = numpy_helper.from_array(np.ones(1, np.float32), "secret")
    values.ClearField("raw_data")
    values.data_location = TensorProto.EXTERNAL
    values.external_data.add(key="location", value=f"../{path.parent.name}/secret.bin")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0]), "places"), [4, 3])
    nodes = [
        helper.make_node("Constant", [], ["w"], sparse_value=sparse),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
    ]
    write_graph(path, nodes, {"a": [None, 4], "b": [None, 3]})


def write_graph(path: Path, nodes: list[NodeProto], ends: dict[str, list[int | None] | None]) -> None:
    """A graph from its ends but the last, which it gives."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends.items()]
    graph = helper.make_graph(nodes, "graph", values[:-1], values[-1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def half_a_node(path: Path) -> None:
    """Whole on the outside, and inside it a text that is longer than what it stands in."""
    content = linear_iris()
    at = content.index(b"\x04Gemm")
    path.write_bytes(content[:at] + b"\x7f" + content[at + 1 :])


def calling_itself(path: Path) -> None:
    model = onnx.load_model_from_string(linear_iris())
    opsets = [helper.make_opsetid("own", 1)]
    model.functions.append(
        helper.make_function("own", "f", ["x"], ["y"], [helper.make_node("f", ["x"], ["y"], domain="own")], opsets)
    )
    model.opset_import.extend(opsets)
    path.write_bytes(model.SerializeToString())


def giving_a_list(path: Path) -> None:
    model = onnx.load_model_from_string(linear_iris())
    made = model.graph.output[0].name
    model.graph.node.append(helper.make_node("SequenceConstruct", [made], ["list"]))
    model.graph.output.pop()
    model.graph.output.append(helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None))
    path.write_bytes(model.SerializeToString())


def strange_operator(path: Path) -> None:
    model = onnx.load_model_from_string(linear_iris())
    model.graph.node[0].domain = "my.company"
    path.write_bytes(model.SerializeToString())


def adding(shape: list[int | None] | None) -> Callable[[Path], None]:
    """Two inputs of one shape, and their sum."""
    node = helper.make_node("Add", ["a", "b"], ["c"])
    return lambda path: write_graph(path, [node], dict.fromkeys("abc", shape))


def batch_of_four(path: Path) -> None:
    model = onnx.load_model_from_string(linear_iris())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    path.write_bytes(model.SerializeToString())


def exploding(path: Path) -> None:
    path.write_bytes(onnx_model(np.full((4, 3), 1e38), np.zeros(3)))


MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(Trap())), "found a pickle"),
    "a pickle of the oldest protocol": (lambda path: path.write_bytes(pickle.dumps(Trap(), 0)), "found a pickle"),
    "joblib's": (with_joblib, "found a pickle"),
    "joblib's, compressed": (lambda path: path.write_bytes(gzip.compress(pickle.dumps(Trap()))), "a compressed file"),
    "torch's": (lambda path: torch.save({"w": torch.zeros(2)}, path), "torch.onnx.export("),
    "torch's old": (old_torch, "found a pickle"),
    "Keras' HDF5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "tf2onnx"),
    "Keras'": (with_zip_of("config.json", "model.weights.h5"), "a Keras file"),
    "another archive": (with_zip_of("readme.txt"), "a zip archive of readme.txt"),
    "half an ONNX": (lambda path: path.write_bytes(linear_iris()[:-20]), "no whole ONNX"),
    "a text": (lambda path: path.write_text("weights"), "no whole ONNX"),
    "weights in another file": (outside, "lies in another file"),
    "an operator of one's own": (strange_operator, "my.company.Gemm"),
    "a sparse weight in another file": (outside_and_sparse, "lies in another file"),
    "half a node": (half_a_node, "no whole ONNX"),
    "a function that calls itself": (calling_itself, "no whole ONNX graph"),
    "a list of tensors": (giving_a_list, "wanted one output of real numbers"),
    "several tables": (adding([None, 4]), "the model has several inputs"),
    "inputs without a shape": (adding(None), "wanted a table (rows, numbers)"),
    "one number a row, without a name of a column": (
        lambda path: write_graph(path, [helper.make_node("Neg", ["a"], ["b"])], {"a": [None], "b": [None]}),
        "has no column 'a'",
    ),
    "a batch of four": (batch_of_four, "takes batches of 4 only"),
    "infinite answers": (exploding, "gives NaN or an infinite value for row 1"),
    "weights without model.json": (lambda path: path.write_bytes(b"\x02" + bytes(7) + b"{}"), "model.json: is missing"),
    "nothing": (lambda path: None, "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_a_file_that_is_no_model_to_serve_is_refused_by_its_content(kind: str, tmp_path: Path):
    write, words = MODELS[kind]
    write(tmp_path / "model.onnx")  # whatever it is, it is called so
    done = importing(tmp_path, "flowers", "model.onnx", "--sample", write_json(tmp_path / "rows.json", ITEMS))
    assert done.code in (1, 2)
    assert words in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 5
    assert not (tmp_path / "trapped").exists()
    assert not (tmp_path / ".millrace" / "store" / "models").exists()


ROWS_GIVEN: dict[str, tuple[str, tuple[str, ...], str]] = {
    "one column too many": ("a,b,c,d,e\n1,2,3,4,5\n", (), "found 5 columns (a, b, c, d, e), the model takes 4 numbers"),
    "a word among numbers": ("a,b,c,d\n1,2,3,4\n1,2,many,4\n", (), "column 'c': row 2: found 'many', wanted a finite"),
    "a missing number": ("a,b,c,d\n1,2,3,4\n1,,3,4\n", (), "column 'b': row 2"),
    "NaN": ("a,b,c,d\n1,2,3,4\n1,NaN,3,4\n", (), "column 'b': row 2"),
    "no such target": ("a,b,c,d\n1,2,3,4\n", ("--target", "e"), "has no column 'e'"),
    "no such column": ("a,b,c,d\n1,2,3,4\n", ("--columns", "a,b,c,dd"), "did you mean 'd'?"),
    "too few classes": ("a,b,c,d\n1,2,3,4\n", ("--classes", "one,two"), "--classes: found 2 different names, wanted 3"),
    "another task": ("a,b,c,d\n1,2,3,4\n", ("--task", "regression"), "the model gives 3 numbers a row"),
    "other outputs": ("a,b,c,d\n1,2,3,4\n", ("--outputs", "probabilities"), "wanted probabilities, which sum to 1"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("[[1, 2], [3]]", "found [[1, 2], [3]], wanted the numbers of an image"),
        ("[]", "found [], wanted the numbers of an image"),
        ('[["a", "b"]]', "wanted the numbers of an image"),
        ("[[1, -2]]", "row 2: found a pixel of -2"),
    ],
)
def test_a_cell_that_is_no_image_is_refused_with_its_row(cell: str, words: str):
    rows = Rows("rows", pa.table({"x": ["[[1, 2]]", cell]}), 2, True)
    with pytest.raises(SchemaError, match=re.escape(words)):
        image_of(End("x", "float32", (None, 1, None, None)), rows, Asked())


DESCRIPTIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no shape": ({"input": {}}, "model.json", "no valid model.json"),
    "a shape of words": (
        {"input": {"shape": ["four"], "dtype": "float32"}},
        "model.json",
        "takes numbers (F) or images",
    ),
    "a task that is not served": ({"task": "language_model"}, "model.json", "gives classes or a value"),
    "fitted transforms beside it": ({}, "transforms.json", "would be given unscaled ones"),
}


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_weights_with_a_description_that_will_not_do_are_refused(kind: str, tmp_path: Path):
    changed, name, words = DESCRIPTIONS[kind]
    whole = {"family": "mlp", "options": {}, "task": "classification", "classes": [], "outputs": 3}
    write_json(tmp_path / "model.json", {**whole, "input": {"shape": [4], "dtype": "float32"}, **changed})
    write_json(tmp_path / name, json.loads((tmp_path / "model.json").read_text()))
    (tmp_path / "weights.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")
    with pytest.raises(ConfigError, match=re.escape(words)):
        open_original(
            SAFETENSORS,
            tmp_path / "weights.safetensors",
            read_rows(str(tmp_path / write_irises(tmp_path / "rows.csv"))),
            Asked(),
        )


@pytest.mark.parametrize("kind", ROWS_GIVEN)
def test_rows_or_words_that_do_not_fit_the_model_are_refused(kind: str, tmp_path: Path):
    content, options, words = ROWS_GIVEN[kind]
    (tmp_path / "net.onnx").write_bytes(linear_iris())
    (tmp_path / "rows.csv").write_text(content)
    done = importing(tmp_path, "flowers", "net.onnx", "--sample", "rows.csv", *options)
    assert done.code in (1, 2)
    assert words in done.err
    assert not (tmp_path / ".millrace" / "store" / "models").exists()


def test_labelled_rows_of_unknown_classes_and_too_few_rows_are_refused(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(linear_iris())
    rows = write_irises(tmp_path / "rows.csv")
    options = ("flowers", "net.onnx", "--data", rows, "--target", "species")
    unknown = importing(tmp_path, *options, "--classes", "a,b,c")
    assert "found 'setosa', wanted one of the model's classes a, b, c" in unknown.err
    write_irises(tmp_path / "rows.csv", rows=10)
    assert "found 10 rows, wanted at least 20" in importing(tmp_path, *options).err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--sample: found none"),
        (("--data", "rows.csv"), "found no --target"),
        (("--data", "rows.csv", "--target", "y", "--promote"), "--promote: found --data beside it"),
        (("--sample", "rows.csv", "--tolerance", "0"), "--tolerance: found 0"),
        (("--sample", "rows.csv", "--tolerance", "1"), "--tolerance: found 1, wanted more than 0 and less than 0.5"),
        (("--sample", "rows.csv", "--margin", "inf"), "--margin: found inf"),
        (("--sample", "rows.csv", "--mean", "half"), "--mean: found 'half'"),
    ],
)
def test_options_that_make_no_sense_together_are_misuse(options: tuple[str, ...], words: str, tmp_path: Path):
    done = importing(tmp_path, "flowers", "net.onnx", *options)
    assert (done.code, words in done.err) == (2, True)


def test_a_graph_whose_answers_depend_on_the_rows_beside_is_not_released(tmp_path: Path):
    model = onnx.load_model_from_string(linear_iris())
    mean = helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1)
    model.graph.node[0].input[0] = "centred"
    nodes = [mean, helper.make_node("Sub", ["x", "m"], ["centred"]), model.graph.node[0]]
    graph = helper.make_graph(nodes, "g", model.graph.input, model.graph.output, model.graph.initializer)
    onnx.save(helper.make_model(graph, opset_imports=model.opset_import, ir_version=8), tmp_path / "net.onnx")
    done = importing(tmp_path, "flowers", "net.onnx", "--sample", write_json(tmp_path / "rows.json", ITEMS))
    assert done.code == 1
    assert "it would not answer as the original does" in done.err
    assert json.loads((tmp_path / "rows.json").read_text()) == ITEMS
