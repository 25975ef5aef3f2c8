"""Models made elsewhere become versions like our own: they answer as the original does, and the real service serves them."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from handmade import CLASSES, COLUMNS, ITEMS, ROWS, TARGETS, serving
from imported import NAMES, answers, importing, linear_iris, predictor_of, store_of, summary, write_irises, write_json
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from storage.manifests import read_manifest
from storage.registry import open_registry
from tasks.nn.descriptions import build_model, save_weights

IRIS = ("--target", "species")


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def onnx_answers(path: Path, x: np.ndarray, output: int = -1) -> np.ndarray:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[output])


def test_a_graph_is_judged_promoted_and_served_with_the_original_answers(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(linear_iris())
    told = summary(tmp_path, "flowers", "net.onnx", "--data", write_irises(tmp_path / "rows.csv"), *IRIS)
    assert (told["task"], told["outputs"], told["classes"]) == ("classification", "logits", list(CLASSES))
    assert told["parity"]["max_difference"] <= 1e-6
    assert told["metrics"]["accuracy"]["n"] == 150
    assert told["verdict"]["decision"] == "promote"
    assert told["release"]["alias"] == "champion"
    wanted = softmax(onnx_answers(tmp_path / "net.onnx", ROWS.astype(np.float32)))
    with serving(store_of(tmp_path), tmp_path, name="flowers") as running:
        found = running.client.post("/predict", json={"input_data": ITEMS}).json()["prediction"]
    assert found == [CLASSES[k] for k in wanted.argmax(axis=1)]
    np.testing.assert_allclose(answers(predictor_of(tmp_path, "flowers"), ITEMS)[1], wanted, atol=1e-5)


def test_the_end_tells_what_it_is_whether_it_is_the_same_and_how_to_call_it(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(linear_iris())
    done = importing(tmp_path, "flowers", "net.onnx", "--data", write_irises(tmp_path / "rows.csv"), *IRIS)
    for words in ("15 parameters", "operators: Gemm", "the values of 'species', sorted", "in batches of 1, 17, 32",
                  "PROMOTED      flowers version 1, serves as champion", "millrace serve flowers", "curl -s"):  # fmt: skip
        assert words in done.out
    assert max(len(line) for line in done.out.splitlines() if "curl" not in line) <= 100


def test_a_scikit_learn_pipeline_by_skl2onnx_keeps_its_own_class_names(tmp_path: Path):
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, NAMES)
    graph = to_onnx(fitted, ROWS[:1].astype(np.float32))  # labels, and a list of maps
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    told = summary(tmp_path, "flowers", "model.onnx", "--sample", write_json(tmp_path / "rows.json", ITEMS))
    assert (told["outputs"], told["classes"], told["verdict"]) == ("probabilities", list(CLASSES), None)
    predictions, outputs = answers(predictor_of(tmp_path, "flowers"), ITEMS)
    np.testing.assert_allclose(outputs, fitted.predict_proba(ROWS), atol=1e-5)
    assert predictions == fitted.predict(ROWS).tolist()


def test_classes_are_sorted_here_whatever_their_order_in_the_graph(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(linear_iris())
    sample = write_json(tmp_path / "rows.json", ITEMS)
    told = summary(tmp_path, "flowers", "net.onnx", "--sample", sample, "--classes", "virginica,setosa,versicolor")
    wanted = softmax(onnx_answers(tmp_path / "net.onnx", ROWS.astype(np.float32)))[:, [1, 2, 0]]
    assert told["classes"] == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(answers(predictor_of(tmp_path, "flowers"), ITEMS)[1], wanted, atol=1e-5)


class Score(torch.nn.Module):
    """A foreign module: the probability of the second of two classes, a number a row."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.head(torch.tanh(self.norm(x)))).squeeze(1)


def test_a_foreign_torch_module_with_one_probability_serves_two_classes(tmp_path: Path):
    torch.manual_seed(0)
    module, x = Score().eval(), torch.from_numpy(ROWS.astype(np.float32))
    batch = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(module, (x[:2],), tmp_path / "s.onnx", external_data=False, dynamic_shapes=batch, verbose=False)
    rows = pd.DataFrame(ROWS, columns=list(COLUMNS)).assign(rare=np.where(TARGETS == 2, "yes", "no"))
    rows.to_parquet(tmp_path / "rows.parquet")
    told = summary(tmp_path, "rare", "s.onnx", "--sample", "rows.parquet", "--target", "rare")
    assert (told["task"], told["outputs"], told["classes"]) == ("classification", "probabilities", ["no", "yes"])
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(answers(predictor_of(tmp_path, "rare"), ITEMS)[1][:, 1], wanted, atol=1e-5)


def test_weights_of_our_own_family_are_exported_and_answer_as_torch_does(tmp_path: Path):
    description = {
        "family": "mlp", "options": {"hidden": [8], "dropout": 0.0}, "task": "classification", "classes": list(CLASSES),
        "input": {"shape": [4], "dtype": "float32"}, "outputs": 3,
    }  # fmt: skip
    torch.manual_seed(0)
    module = build_model(description)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "weights.safetensors").write_bytes(save_weights(module))
    write_json(tmp_path / "mine" / "model.json", description)
    told = summary(tmp_path, "mine", "mine", "--sample", write_json(tmp_path / "rows.json", ROWS[:40].tolist()))
    assert (told["format"], told["inspected"]["parameters"], told["columns"]) == (
        "safetensors",
        67,
        ["x0", "x1", "x2", "x3"],
    )
    with torch.no_grad():
        wanted = module(torch.from_numpy(ROWS.astype(np.float32))).softmax(1).numpy()
    np.testing.assert_allclose(answers(predictor_of(tmp_path, "mine"), ROWS.tolist())[1], wanted, atol=1e-5)


def test_values_come_back_in_the_target_s_own_unit(tmp_path: Path):
    data = load_diabetes(as_frame=True, scaled=False).frame
    x, y = data.drop(columns="target").to_numpy(np.float32), 1000 * data["target"]
    fitted = RandomForestRegressor(10, random_state=0).fit(x, y)
    (tmp_path / "forest.onnx").write_bytes(to_onnx(fitted, x[:1]).SerializeToString())
    data.assign(target=y).to_csv(tmp_path / "rows.csv", index=False)
    told = summary(tmp_path, "sugar", "forest.onnx", "--data", "rows.csv", "--target", "target")
    assert (told["task"], told["classes"], told["verdict"]["decision"]) == ("regression", [], "promote")
    wanted = fitted.predict(x)
    assert told["metrics"]["rmse"]["value"] == pytest.approx(np.sqrt(((wanted - y) ** 2).mean()), rel=1e-4)
    items = json.loads(data.drop(columns="target").to_json(orient="records"))
    np.testing.assert_allclose(answers(predictor_of(tmp_path, "sugar"), items)[0], wanted, rtol=1e-5)


def images_graph(last: bool) -> bytes:
    """Means of an 8×8 image's upper and lower half as logits, channels first or last."""
    shape = ["batch", 8, 8, 1] if last else ["batch", 1, 8, 8]
    weights = np.repeat(np.eye(2), 32, axis=0).astype(np.float32) / 32
    nodes = [helper.make_node("Flatten", ["pixels"], ["y"]), helper.make_node("MatMul", ["y", "w"], ["halves"])]
    graph = helper.make_graph(
        nodes, "images",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("halves", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("last", [False, True])
def test_images_go_in_as_they_are_channels_first_or_last(last: bool, tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(images_graph(last))
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8))
    lines = [json.dumps({"picture": image.tolist(), "half": "low"}) for image in pixels]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    told = summary(tmp_path, "halves", "net.onnx", "--sample", "rows.jsonl", "--target", "half", "--classes", "low,up")
    assert told["columns"] == ["picture"]
    wanted = softmax(pixels.reshape(12, 2, 32).mean(axis=2))
    np.testing.assert_allclose(answers(predictor_of(tmp_path, "halves"), pixels.tolist())[1], wanted, atol=1e-5)


def test_inputs_that_are_a_column_each_are_joined_with_their_texts(tmp_path: Path):
    names, kinds = ("size", "colour"), (TensorProto.INT64, TensorProto.STRING)
    nodes = [
        helper.make_node(
            "OneHotEncoder", ["colour"], ["hot"], domain="ai.onnx.ml", cats_strings=["blue", "red"], zeros=1
        ),
        helper.make_node("Flatten", ["hot"], ["flat"]),
        helper.make_node("Cast", ["size"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["x", "flat"], ["y"], axis=1),
        helper.make_node("MatMul", ["y", "w"], ["cost"]),
    ]
    weights = numpy_helper.from_array(np.array([[2.0], [100.0], [1000.0]], np.float32), "w")
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in zip(names, kinds, strict=True)]
    outputs = [helper.make_tensor_value_info("cost", TensorProto.FLOAT, [None, 1])]
    graph = helper.make_graph(nodes, "cost", inputs, outputs, [weights])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "cost.onnx")
    (tmp_path / "rows.csv").write_text("colour,size,note\nred,3,a\ngreen,4,b\nred,5,c\n")
    told = summary(tmp_path, "cost", "cost.onnx", "--sample", "rows.csv")
    assert told["columns"] == ["size", "colour"]
    items = [{"size": 1, "colour": "red"}, {"size": 1, "colour": "blue"}, {"size": 1, "colour": "pink"}]
    assert answers(predictor_of(tmp_path, "cost"), items)[0] == [1002.0, 102.0, 2.0]


def test_the_same_file_imported_again_is_the_same_version_and_an_unjudged_one_moves_no_alias(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(linear_iris())
    rows = write_irises(tmp_path / "rows.csv")
    first, again = (summary(tmp_path, "flowers", "net.onnx", "--sample", rows, *IRIS) for _ in range(2))
    assert first["release"] == again["release"]
    assert (first["release"]["version"], first["release"]["alias"], first["verdict"]) == (1, None, None)
    registry = open_registry(store_of(tmp_path).url)
    assert registry.aliases("flowers") == {}
    by_hand = summary(tmp_path, "flowers", "net.onnx", "--sample", rows, *IRIS, "--promote")
    assert by_hand["release"]["alias"] == "champion"
    assert open_registry(store_of(tmp_path).url).aliases("flowers") == {"champion": 1}


def test_the_release_says_that_it_was_imported_and_from_which_bytes(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(linear_iris())
    summary(tmp_path, "flowers", "net.onnx", "--sample", write_irises(tmp_path / "rows.csv"), *IRIS)
    store = store_of(tmp_path)
    (version,) = open_registry(store.url).versions("flowers")
    manifest = read_manifest(store, version.release)
    assert manifest.meta["lineage"]["imported"]["format"] == "ONNX"
    assert len(manifest.meta["lineage"]["imported"]["file_sha256"]) == 64
    assert {"golden.json", "profile.json", "model.onnx", "recipe.json"} <= set(manifest.files)
    assert read_manifest(store, manifest.meta["lineage"]["dataset"]).meta["features"] == list(COLUMNS)


def test_a_worse_model_is_held_back_with_reasons_and_the_champion_stays(tmp_path: Path):
    (tmp_path / "good.onnx").write_bytes(linear_iris())
    rows = write_irises(tmp_path / "rows.csv")
    summary(tmp_path, "flowers", "good.onnx", "--data", rows, *IRIS)
    weak = onnx.load_model_from_string(linear_iris())
    weights = numpy_helper.to_array(weak.graph.initializer[0]).copy()
    weights[2:] = 0  # it sees no petals any more
    weak.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))
    onnx.save(weak, tmp_path / "weak.onnx")
    done = importing(tmp_path, "flowers", "weak.onnx", "--data", rows, *IRIS, "--minimum", "0.1")
    assert done.code == 3
    assert "REJECTED      no version was made" in done.out
    assert "against the champion's 97.3 %" in done.out
    assert open_registry(store_of(tmp_path).url).aliases("flowers") == {"champion": 1}


def test_a_model_that_few_rows_cannot_tell_from_the_champion_is_held_as_a_version_without_alias(tmp_path: Path):
    (tmp_path / "one.onnx").write_bytes(linear_iris())
    (tmp_path / "two.onnx").write_bytes(linear_iris(strength=0.5))
    rows = write_irises(tmp_path / "rows.csv", rows=30)
    summary(tmp_path, "flowers", "one.onnx", "--data", rows, *IRIS)
    done = importing(tmp_path, "flowers", "two.onnx", "--data", rows, *IRIS, "--margin", "0.01")
    assert done.code == 3
    assert "HELD          flowers version 2, no alias points at it" in done.out
    assert "more test examples would do" in done.out
    assert open_registry(store_of(tmp_path).url).aliases("flowers") == {"champion": 1}
