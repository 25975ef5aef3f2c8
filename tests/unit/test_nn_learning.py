"""What a family is there for, it learns; a training that was stopped ends as one that was not, whatever the optimizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.nn.descriptions import build_model, describe, save_weights
from tasks.nn.devices import settle
from tasks.nn.export import export
from tasks.nn.fit import Fit
from tasks.nn.losses import Loss, training_loss
from tasks.sections import TrainSection
from tasks.splits import Split

QUICK: dict[str, Any] = {"device": "cpu", "batch_size": 32, "learning_rate": 1e-2, "warmup_share": 0.0}
FIRST, SECOND = 5, 7


def texts(rows: int) -> Split:
    """Two tokens among others; the class is which of them comes first. How often each occurs says nothing."""
    generator = np.random.default_rng(0)
    ids_NT = generator.integers(8, 12, (rows, 10), dtype=np.int32)
    places = np.sort(generator.permuted(np.tile(np.arange(6), (rows, 1)), axis=1)[:, :2], axis=1)
    y = generator.integers(0, 2, rows)
    ids_NT[np.arange(rows), places[:, 0]] = np.where(y, FIRST, SECOND)
    ids_NT[np.arange(rows), places[:, 1]] = np.where(y, SECOND, FIRST)
    ids_NT[np.arange(10) >= generator.integers(6, 11, (rows, 1))] = 0
    return Split(ids_NT, y)


def images(rows: int) -> Split:
    """A bar of four pixels at a random place, down or across: every pixel is as often bright in one class as in the other."""
    generator = np.random.default_rng(0)
    x_NHW = generator.normal(0, 0.1, (rows, 12, 12)).astype(np.float32)
    y = generator.integers(0, 2, rows)
    for image_HW, across, (top, left) in zip(x_NHW, y, generator.integers(0, 9, (rows, 2)), strict=True):
        (image_HW if across else image_HW.T)[top, left : left + 4] += 1
    return Split(x_NHW[:, None], y)


def fit(
    data: Split, checkpoints: Path | None = None, watch: Callable[[Loss], Loss] = lambda loss: loss, **changes: Any
) -> tuple[Fit, dict[str, Any]]:
    """A fit that has not run, on the rows of `data`, of which the last fifth validates; its model's description."""
    section = TrainSection(**(QUICK | changes))
    cut = len(data) * 4 // 5
    train, validation = (Split(data.x[part], data.y[part]) for part in (slice(cut), slice(cut, None)))
    task = "classification" if data.y.dtype == np.int64 else "regression"
    meta = {"task": task, "classes": ["a", "b"], "input": {"shape": data.x.shape[1:], "dtype": str(data.x.dtype)}}
    place, description = settle(section), describe(section, meta, train)
    torch.manual_seed(section.seed)
    loss = watch(training_loss(section, task, description["outputs"]))
    model, tell = build_model(description), lambda *_, **__: None
    return Fit(model, section, place, task, train, validation, loss, tell, checkpoints, "test"), description


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (texts, {"family": "lstm", "epochs": 12, "lstm": {"embedding": 16, "hidden": 16}}),
        (texts, {"family": "transformer", "epochs": 12, "transformer": {"width": 32, "feed_forward": 32}}),
        (images, {"family": "resnet", "epochs": 5, "resnet": {"channels": [8, 16], "blocks": 1}}),
    ],
    ids=["lstm", "transformer", "resnet"],
)
def test_a_family_learns_what_only_its_mechanism_can_tell(
    data: Callable[[int], Split], options: dict[str, Any]
) -> None:
    training, _ = fit(data(600), **options)
    assert training.run()[-1]["validation_metric"] > 0.95


def test_learned_positions_are_exported() -> None:
    training, description = fit(texts(20), family="transformer", transformer=TINY["transformer"])
    export(training.model, description)  # refuses a graph that answers otherwise than torch


class Interrupted(Exception):
    pass


def stopping(at: int) -> Callable[[Loss], Loss]:
    """A loss that ends the program at its call number `at`."""
    calls = 0

    def watched(loss: Loss) -> Loss:
        def counted(*arguments: Any) -> torch.Tensor:
            nonlocal calls
            calls += 1
            if calls == at:
                raise Interrupted
            return loss(*arguments)

        return counted

    return watched


BLURRED = {"shift_pixels": 1, "flip": True, "rotate_degrees": 9, "erase_pixels": 3}
TINY: dict[str, Any] = {
    "mlp": {"hidden": [8], "dropout": 0.5},
    "lstm": {"embedding": 8, "hidden": 8, "layers": 2},
    "transformer": {"width": 8, "feed_forward": 8, "layers": 1},
    "resnet": {"channels": [4], "blocks": 1},
}


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("mlp", {"optimizer": "adamw", "l1": 1e-3, "label_smoothing": 0.1}),
        ("mlp", {"optimizer": "adam", "l2": 1e-3, "loss": "bce"}),
        ("mlp", {"optimizer": "sgd", "clip_norm": 0.1}),
        ("mlp", {"optimizer": "adagrad"}),
        ("mlp", {"optimizer": "gd", "learning_rate": 0.5}),
        ("lstm", {}),
        ("transformer", {}),
        ("resnet", {"augment": BLURRED}),
    ],
    ids=["adamw", "adam", "sgd", "adagrad", "gd", "lstm", "transformer", "resnet-augmented"],
)
def test_a_training_stopped_in_mid_epoch_ends_with_the_same_bits(
    family: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    data = texts(120) if family in ("lstm", "transformer") else images(120)
    settings = {"family": family, "epochs": 3, "checkpoint_every_steps": 1, family: TINY[family]} | changes
    whole, _ = fit(data, **settings)
    history = whole.run()
    stopped, _ = fit(data, tmp_path, stopping(at=6), **settings)
    with pytest.raises(Interrupted):
        stopped.run()  # three batches an epoch: in the middle of the second
    resumed, _ = fit(data, tmp_path, **settings)
    assert resumed.run() == history
    assert save_weights(resumed.model) == save_weights(whole.model)


def test_gradient_descent_takes_the_gradient_of_all_rows_however_they_are_cut() -> None:
    data = images(100)
    settings = {
        "family": "mlp",
        "optimizer": "gd",
        "epochs": 1,
        "schedule": "constant",
        "learning_rate": 0.5,
        "l2": 0.01,
    }
    settings["mlp"] = {"hidden": [8], "dropout": 0.0}
    at_once, _ = fit(data, **settings, batch_size=80)
    before = {name: p.detach().clone() for name, p in at_once.model.named_parameters()}
    x, y = torch.from_numpy(at_once.train.x), torch.from_numpy(at_once.train.y)
    loss = torch.nn.functional.cross_entropy(at_once.model(x), y)
    loss = loss + 0.01 * sum((p**2).sum() for p in at_once.model.parameters() if p.dim() == 2)
    gradients = dict(zip(before, torch.autograd.grad(loss, list(at_once.model.parameters())), strict=True))
    in_parts, _ = fit(data, **settings, batch_size=7)
    for trained in (at_once, in_parts):
        trained.run()
        for name, parameter in trained.model.named_parameters():
            torch.testing.assert_close(parameter.detach(), before[name] - 0.5 * gradients[name])


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_a_penalty_shrinks_the_weights(penalty: str) -> None:
    sizes = []
    for strength in (0.0, 0.05):
        training, _ = fit(images(100), family="mlp", epochs=3, weight_decay=0.0, **{penalty: strength})
        training.run()
        sizes.append(float(sum(p.detach().abs().sum() for p in training.model.parameters() if p.dim() == 2)))
    assert sizes[1] < 0.8 * sizes[0]


def test_a_clipped_update_is_no_longer_than_the_norm_allows() -> None:
    training, _ = fit(
        images(100), family="mlp", epochs=1, batch_size=80, optimizer="gd", learning_rate=1.0, clip_norm=1e-3
    )
    before = torch.nn.utils.parameters_to_vector(training.model.parameters()).detach().clone()
    training.run()
    after = torch.nn.utils.parameters_to_vector(training.model.parameters()).detach()
    assert float((after - before).norm()) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that torch can use")
@pytest.mark.parametrize("family", ["cnn", "resnet", "lstm", "transformer"])
def test_bf16_on_a_gpu_learns_as_well_as_fp32_on_the_cpu(family: str) -> None:
    data = texts(600) if family in ("lstm", "transformer") else images(600)
    quality = {}
    for device in ("cpu", "auto"):
        training, _ = fit(data, family=family, epochs=15, device=device)
        assert training.place.precision == ("fp32" if device == "cpu" else "bf16")
        assert training.place.device.type == ("cpu" if device == "cpu" else "cuda")
        quality[device] = training.run()[-1]["validation_metric"]
    assert quality["auto"] >= quality["cpu"] - 0.03


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that torch can use")
def test_a_training_on_a_gpu_stopped_in_mid_epoch_ends_with_the_same_bits(tmp_path: Path) -> None:
    settings = {"family": "cnn", "epochs": 3, "checkpoint_every_steps": 1, "device": "cuda", "augment": BLURRED}
    whole, _ = fit(images(120), **settings)
    whole.run()
    stopped, _ = fit(images(120), tmp_path, stopping(at=6), **settings)
    with pytest.raises(Interrupted):
        stopped.run()
    resumed, _ = fit(images(120), tmp_path, **settings)
    resumed.run()
    assert save_weights(resumed.model) == save_weights(whole.model)
