"""Every family exports to a graph that answers as its network does; what cannot be done says so."""

from typing import Any, get_args

import numpy as np
import onnxruntime
import pytest
import torch

from storage.errors import ConfigError
from tasks.graphs.canonical import to_bytes
from tasks.graphs.quantise import quantise
from tasks.graphs.weights import weight_inputs
from tasks.nn.candidates import Candidate, Context
from tasks.nn.descriptions import build_model, describe, load_model, save_weights
from tasks.nn.devices import settle
from tasks.nn.distil import apply as distil
from tasks.nn.export import export
from tasks.nn.families import FAMILIES
from tasks.nn.fit import Fit
from tasks.nn.losses import distillation_loss, task_loss
from tasks.nn.prune import apply as prune
from tasks.recipes import NETWORKS, default_recipes
from tasks.sections import Distil, Prune, TrainSection
from tasks.sections.train import FamilyName
from tasks.splits import Split, epoch_order

SHAPES = {
    "mlp": ([5], "float32"),
    "cnn": ([3, 9, 7], "float32"),
    "resnet": ([2, 9, 7], "float32"),
    "textcnn": ([12], "int32"),
    "lstm": ([12], "int32"),
    "transformer": ([12], "int32"),
}
TASKS = dict.fromkeys(SHAPES, "classification") | {"mlp": "regression", "lstm": "regression"}
OPTIONS: dict[str, Any] = {
    "textcnn": {"embedding": 16, "filters": 8},
    "lstm": {"embedding": 16, "hidden": 8, "layers": 2},
    "transformer": {"width": 16, "feed_forward": 32, "positions": "rotary"},
    "resnet": {"channels": [8, 16], "blocks": 1},
}
NARROW: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [64, 32]},
    "cnn": {"channels": [16, 32], "hidden": 64},
    "resnet": {"stem": 4, "channels": [4, 8], "inner": [[4], [8]]},
    "textcnn": {"embedding": 8, "filters": [4, 4, 4]},
    "lstm": {"embedding": 8, "hidden": [4, 4]},
    "transformer": {"width": 8, "heads": [2, 2], "feed_forward": [16, 16]},
}
TEXTS = [family for family, (_, kind) in SHAPES.items() if kind == "int32"]


def rows_of(family: str, count: int) -> np.ndarray:
    shape, kind = SHAPES[family]
    generator = np.random.default_rng(0)
    if kind == "float32":
        return generator.normal(size=(count, *shape)).astype(np.float32)
    ids = generator.integers(1, 50, (count, *shape), dtype=np.int32)
    ids[np.arange(12) >= generator.integers(0, 13, (count, 1))] = 0  # some texts have no token at all
    return ids


def context_of(family: str) -> Context:
    x = rows_of(family, 80)
    y = np.arange(80) % 3 if TASKS[family] == "classification" else np.linspace(-1, 1, 80).astype(np.float32)
    split = Split(x, y)
    section = TrainSection(family=family, device="cpu", **OPTIONS)
    width = 3 if TASKS[family] == "classification" else 1
    return Context(split, split, section, lambda rows: np.zeros((len(rows), width), np.float32), lambda *_, **__: None)


def fresh(family: str) -> tuple[Candidate, Context]:
    context = context_of(family)
    shape, kind = SHAPES[family]
    meta = {"task": TASKS[family], "classes": ["a", "b", "c"], "input": {"shape": shape, "dtype": kind}}
    description = describe(context.section, meta, context.train)
    torch.manual_seed(0)
    return Candidate(description, build_model(description).eval()), context


def test_a_family_has_its_name_its_options_its_candidates_and_a_place_in_these_tests() -> None:
    assert {*FAMILIES, "sklearn"} == {*get_args(FamilyName)}
    assert set(FAMILIES) == set(NETWORKS) == {*SHAPES, "gpt"}  # which has tests of its own
    assert set(get_args(FamilyName)) <= set(TrainSection.model_fields)
    for family in FAMILIES:
        assert len({recipe.name for recipe in default_recipes(family, "")}) >= 3


@pytest.fixture(scope="module", params=list(SHAPES))
def exported(request: pytest.FixtureRequest) -> tuple[str, Candidate]:
    candidate, _ = fresh(request.param)
    return request.param, candidate.exported()[0]


def test_a_graph_answers_as_its_network_at_any_batch_size(exported: tuple[str, Candidate]) -> None:
    family, candidate = exported
    assert candidate.graph is not None
    assert candidate.module is not None
    session = onnxruntime.InferenceSession(to_bytes(candidate.graph))
    for count in (1, 7, 32):
        x = rows_of(family, count)
        with torch.no_grad():
            expected = candidate.module(torch.from_numpy(x)).numpy()
        found = session.run(["y"], {"x": x})[0]
        assert found.shape == (count, 1 if TASKS[family] == "regression" else 3)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_quantised_graph_has_int8_weights_and_answers_each_row_alone(exported: tuple[str, Candidate]) -> None:
    family, candidate = exported
    assert candidate.graph is not None
    mode = "weights" if family in ("lstm", "transformer") else "static"
    small = quantise(candidate.graph, mode, rows_of(family, 64))
    session, x = onnxruntime.InferenceSession(to_bytes(small)), rows_of(family, 33)
    together = np.asarray(session.run(None, {"x": x})[0])
    alone = [np.asarray(session.run(None, {"x": x[i : i + 1]})[0]) for i in range(33)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    used = {node.input[position] for node in small.graph.node for position in weight_inputs(node)}
    floats = [tensor.name for tensor in small.graph.initializer if tensor.data_type == 1 and tensor.name in used]
    few = {
        "cnn": ["blocks.0.conv.weight"],
        "resnet": ["stem.weight"],
    }  # two or three channels are too few for int8 units
    assert floats == few.get(family, [])


@pytest.mark.parametrize("family", list(SHAPES))
def test_pruning_halves_every_hidden_width(family: str) -> None:
    candidate, context = fresh(family)
    narrow = prune(candidate, Prune(share=0.5), context)
    assert narrow.module is not None
    again = load_model(narrow.description, save_weights(narrow.module))
    x = torch.from_numpy(rows_of(family, 5))
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(x), narrow.module.eval()(x))
    options = narrow.description["options"]
    for name, width in NARROW[family].items():
        assert options[name] == width


@pytest.mark.parametrize("family", TEXTS)
def test_a_token_that_training_never_showed_counts_as_unknown(family: str) -> None:
    candidate, _ = fresh(family)
    assert candidate.module is not None
    unknown, strange = torch.full((1, 12), 1, dtype=torch.int32), torch.full((1, 12), 99_999, dtype=torch.int32)
    torch.testing.assert_close(candidate.module(unknown), candidate.module(strange))


@pytest.mark.parametrize("family", TEXTS)
def test_padding_does_not_change_an_answer(family: str) -> None:
    candidate, context = fresh(family)
    longer = candidate.description | {"input": {"shape": [20], "dtype": "int32"}}
    assert candidate.module is not None
    other = load_model(longer, save_weights(candidate.module)).eval()
    ids = torch.from_numpy(context.train.x)
    padded = torch.nn.functional.pad(ids, (0, 8))
    torch.testing.assert_close(candidate.module(ids), other(padded))


def test_a_family_that_does_not_fit_the_features_names_one_that_does() -> None:
    meta = {"task": "classification", "classes": ["a", "b"], "input": {"shape": [12], "dtype": "int32"}}
    with pytest.raises(ConfigError, match="choose textcnn or lstm or transformer"):
        describe(TrainSection(family="cnn"), meta, context_of("textcnn").train)


def test_a_pass_that_needs_a_network_refuses_an_ensemble() -> None:
    _, context = fresh("mlp")
    with pytest.raises(ConfigError, match="put distil before it"):
        prune(Candidate({"family": "sklearn", "options": {}}), Prune(), context)
    with pytest.raises(ConfigError, match="found no hidden widths"):
        distil(Candidate({"family": "sklearn", "options": {}}), Distil(), context)


def test_a_distilled_regression_learns_the_teachers_values() -> None:
    candidate, context = fresh("mlp")
    taught = distil(candidate, Distil(epochs=20, soft_share=1.0, learning_rate=1e-2), context)
    assert taught.module is not None
    outputs = taught.module(torch.from_numpy(context.train.x))
    assert float(outputs.detach().abs().mean()) < 0.1  # the teacher says 0 everywhere


def test_a_distillation_without_soft_share_is_the_labels_loss() -> None:
    outputs, targets, rows = torch.randn(4, 3), torch.tensor([0, 1, 2, 0]), np.arange(4)
    teacher = np.zeros((4, 3), np.float32)
    hard = task_loss("classification")
    taught = distillation_loss(hard, "classification", teacher, 2.0, 0.0)
    torch.testing.assert_close(taught(outputs, targets, rows), hard(outputs, targets, rows))


def test_an_epochs_order_depends_on_seed_and_epoch_only() -> None:
    assert sorted(epoch_order(9, 1, 2)) == list(range(9))
    assert (epoch_order(9, 1, 2) == epoch_order(9, 1, 2)).all()
    assert (epoch_order(99, 1, 2) != epoch_order(99, 2, 1)).any()


def test_export_is_the_same_twice() -> None:
    candidate, _ = fresh("mlp")
    assert candidate.module is not None
    assert to_bytes(export(candidate.module, candidate.description)) == to_bytes(
        export(candidate.module, candidate.description)
    )


def test_early_stopping_keeps_the_best_epochs_weights() -> None:
    candidate, context = fresh("mlp")
    opposite = Split(context.train.x, -context.train.y)  # what is learnt makes the validation loss worse from the start
    weights = []
    for changes in ({"epochs": 9, "early_stopping_epochs": 2}, {"epochs": 1}):
        section = context.section.model_copy(update={"schedule": "constant", "warmup_share": 0.0, **changes})
        torch.manual_seed(0)
        model = build_model(candidate.description)
        place, loss = settle(section), task_loss("regression")
        history = Fit(model, section, place, "regression", context.train, opposite, loss, context.tell).run()
        weights.append((len(history), save_weights(model)))
    assert [epochs for epochs, _ in weights] == [3, 1]
    assert weights[0][1] == weights[1][1]
