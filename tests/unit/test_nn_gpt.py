"""The causal transformer: learns, goes on where it was interrupted, is exported with time free, is narrowed, taught and made int8."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from tasks.graphs.canonical import to_bytes
from tasks.graphs.operations import count_operations
from tasks.graphs.weights import quantise_weights
from tasks.nn.candidates import Candidate, Context
from tasks.nn.descriptions import build_model, describe, load_model, save_weights
from tasks.nn.devices import settle
from tasks.nn.distil import apply as distil
from tasks.nn.fit import Fit
from tasks.nn.losses import metric, target_count, task_loss
from tasks.nn.prune import apply as prune
from tasks.sections import Distil, Prune, TrainSection
from tasks.splits import Split

VOCABULARY, CONTEXT, WINDOWS = 100, 12, 24
TASK = "language_model"
META = {"task": TASK, "classes": [], "vocabulary": VOCABULARY, "input": {"shape": [CONTEXT], "dtype": "int32"}}
SECTION = TrainSection.model_validate(
    {
        "family": "gpt",
        "gpt": {"width": 32, "heads": 2, "layers": 2},
        "epochs": 12,
        "batch_size": 4,
        "learning_rate": 0.01,
        "device": "cpu",
        "checkpoint_every_steps": 2,
    }
)


def repetition() -> Split:
    """A word of seven tokens again and again; the last window is half filled up."""
    stream = np.resize(np.array([3, 1, 4, 1, 5, 9, 2], np.int32), WINDOWS * CONTEXT + 1)
    x, y = (part.reshape(WINDOWS, CONTEXT).copy() for part in (stream[:-1], stream[1:]))
    y[-1, CONTEXT // 2 :] = -1
    return Split(x, y)


def fresh(checkpoints: Path | None = None, tell: Any = lambda *_, **__: None) -> tuple[Fit, dict[str, Any]]:
    data, place = repetition(), settle(SECTION)
    description = describe(SECTION, META, data)
    torch.manual_seed(0)
    return Fit(
        build_model(description), SECTION, place, TASK, data, data, task_loss(TASK), tell, checkpoints
    ), description


@pytest.fixture(scope="module")
def trained() -> Candidate:
    fit, description = fresh()
    history = fit.run()
    assert history[-1]["validation_metric"] < 1.5  # perplexity: 100 for one that knows nothing
    assert history[-1]["validation_metric"] == pytest.approx(np.exp(history[-1]["validation_loss"]))
    return Candidate(description, fit.model)


@pytest.fixture(scope="module")
def graph(trained: Candidate) -> Any:
    return trained.exported()[1]


def context_of(trained: Candidate) -> Context:
    teacher: Any = trained.module

    def teach(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return teacher(torch.from_numpy(x)).numpy()

    return Context(repetition(), repetition(), SECTION, teach, lambda *_, **__: None)


def answers(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(to_bytes(model)).run(["y"], {"x": x})[0])


def test_what_was_learned_needs_what_came_before(trained: Candidate) -> None:
    module: Any = trained.module
    with torch.no_grad():
        guesses = module(torch.tensor([[3, 1, 4, 1], [9, 2, 3, 1]], dtype=torch.int32)).argmax(-1)
    assert guesses[0].tolist()[1:] == [4, 1, 5]  # after a 1 comes 4, or 5
    assert guesses[1].tolist()[1:] == [3, 1, 4]


def test_a_later_token_changes_nothing_before_it(trained: Candidate) -> None:
    module: Any = trained.module
    x = torch.from_numpy(repetition().x[:2])
    changed = x.clone()
    changed[:, 8] = 30
    with torch.no_grad():
        before, after = module(x), module(changed)
    assert torch.equal(before[:, :8], after[:, :8])
    assert not torch.allclose(before[:, 8], after[:, 8])


def test_a_fit_that_was_interrupted_ends_with_the_same_bits(trained: Candidate, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def die(event: str, **fields: Any) -> None:
        if fields.get("epoch") == 3:
            raise Killed

    with pytest.raises(Killed):
        fresh(tmp_path, die)[0].run()
    told: list[str] = []
    fit, _ = fresh(tmp_path, lambda event, **_: told.append(event))
    fit.run()
    assert told[0] == "resumed"
    assert trained.module is not None
    assert save_weights(fit.model) == save_weights(trained.module)


def test_filled_up_places_count_neither_in_the_loss_nor_in_the_perplexity() -> None:
    logits = torch.zeros(2, 3, 4)
    logits[0, 0, 1] = 2.0
    y = torch.tensor([[1, -1, -1], [2, -1, -1]], dtype=torch.int32)
    expected = -(np.log(np.e**2 / (np.e**2 + 3)) + np.log(1 / 4)) / 2
    assert float(task_loss(TASK)(logits, y, np.arange(2))) == pytest.approx(expected, abs=1e-6)
    assert target_count(TASK, y) == 2
    assert metric(TASK, 2 * expected, 2) == pytest.approx(np.exp(expected))


def test_the_graph_answers_as_the_network_at_any_batch_and_time(trained: Candidate, graph: Any) -> None:
    module: Any = trained.module
    for batch, time in ((1, 1), (3, 5), (2, CONTEXT)):
        x = repetition().x[:batch, :time]
        with torch.no_grad():
            wanted = module(torch.from_numpy(x)).numpy()
        assert wanted.shape == (batch, time, VOCABULARY)
        np.testing.assert_allclose(answers(graph, x), wanted, atol=1e-4)
    assert count_operations(graph, [CONTEXT]) > CONTEXT * sum(p.numel() for p in module.parameters() if p.dim() > 1)


def test_int8_weights_are_a_quarter_and_answer_each_row_and_prefix_alike(graph: Any) -> None:
    small = quantise_weights(graph)
    weights = [tensor for tensor in small.graph.initializer if len(tensor.dims) == 2 and "TD" not in tensor.name]
    assert weights
    assert all(tensor.data_type == 3 for tensor in weights)
    assert sum(tensor.ByteSize() for tensor in small.graph.initializer) < 0.5 * sum(
        tensor.ByteSize() for tensor in graph.graph.initializer
    )
    x = repetition().x[:5]
    together = answers(small, x)
    np.testing.assert_allclose(together, answers(graph, x), atol=0.2)
    np.testing.assert_allclose(together[2:3, :4], answers(small, x[2:3, :4]), atol=1e-5)
    assert (together.argmax(-1) == answers(graph, x).argmax(-1)).mean() > 0.95


def test_a_narrowed_network_is_taught_batch_by_batch_and_built_again(trained: Candidate) -> None:
    context = context_of(trained)
    narrow = prune(trained, Prune(share=0.5), context)
    assert narrow.description["options"]["hidden"] == [64, 64]
    taught = distil(narrow, Distil(epochs=3, rows_share=0.5, learning_rate=0.005), context)
    assert taught.module is not None
    again = load_model(taught.description, save_weights(taught.module))
    data = repetition()
    with torch.no_grad():
        logits = again.eval()(torch.from_numpy(data.x))
    assert float(task_loss(TASK)(logits, torch.from_numpy(data.y), np.arange(WINDOWS))) < 0.4
