"""The training loop: deterministic, resumable at any moment, silent about how its rows came to be."""

import copy
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from storage.errors import ConfigError
from tasks.loading import Loader, Sampler
from tasks.nn import language
from tasks.nn.augment import augmented, draw
from tasks.nn.checkpoints import (
    laid_out,
    latest_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)
from tasks.nn.devices import Place
from tasks.nn.generators import generator_tensors, load_generators
from tasks.nn.losses import Loss, metric, metric_sum, penalty, target_count, task_loss
from tasks.nn.optimizers import learning_rate, make_optimizer, set_learning_rate
from tasks.nn.resuming import described, differing, goes_on, work_fields
from tasks.sections import TrainSection
from tasks.splits import Samples, Split

REPORT_SECONDS = 0.5
EVALUATION_ROWS = 256
Tell = Callable[..., None]


@dataclass
class Fit:
    """One training: `run` brings `model` to its final weights and returns the history, one entry an epoch.

    With `checkpoints`, an interrupted fit goes on from its last checkpoint and ends with the same bits; `continued` tells of each time
    that it did so under other conditions, where that is allowed: then the bits may be others. With early stopping the
    weights of the best epoch stay, else the last epoch's. Batches are of equal size, `batch_size` rows at most. For full-batch
    gradient descent a batch's gradients only add up, to one update at the epoch's end.
    """

    model: nn.Module
    section: TrainSection
    place: Place
    task: str
    train: Samples
    validation: Split
    loss: Loss
    tell: Tell
    checkpoints: Path | None = None
    job: str = ""
    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    continued: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    told: float = 0.0

    def run(self) -> list[dict[str, Any]]:
        """Train to the end. ConfigError when the loss is no longer a number, or the checkpoint is of other conditions and that is refused."""
        # Channels last: convolutions and pooling are half as fast again on a CPU, and what a GPU's bf16 units want.
        self.format = torch.channels_last if len(self.train.shape) == 3 else torch.contiguous_format
        self.model.to(self.place.device, memory_format=self.format)  # pyright: ignore[reportCallIssue]
        self.optimizer = make_optimizer(self.model, self.section)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.place.device)
        self.sampler = Sampler(len(self.train), self.section.batch_size, self.section.seed)
        self.loader, self.steps = Loader(self.train, self.sampler), self.sampler.steps
        self.updates = 1 if self.section.optimizer == "gd" else self.steps  # in an epoch
        self._resume()
        while self.epoch < self.section.epochs and not self._stopped():
            self._run_epoch()
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.to(memory_format=torch.contiguous_format).eval()  # pyright: ignore[reportCallIssue]
        return self.history

    def _run_epoch(self) -> None:
        self.model.train()
        self.drawn = draw(len(self.train), self.section.seed, self.epoch) if self.section.augment.active else None
        done, began = self.loader.consumed, time.monotonic()
        while self.step < self.steps:
            self._learn(*next(self.loader))
            self.step += 1
            if self.updates > 1 or self.step == self.steps:
                self._update()
            if self.step % self.section.checkpoint_every_steps == 0 and self.step < self.steps:
                self._save()
            now = time.monotonic()
            if now - self.told > REPORT_SECONDS:
                self.told = now
                self._tell_progress(
                    (self.loader.consumed - done) / max(now - began, 1e-9), self.sampler.start(self.step)
                )
        self._end_epoch((self.loader.consumed - done) / max(time.monotonic() - began, 1e-9))

    def _learn(self, rows_B: np.ndarray, *batch: np.ndarray) -> None:
        """Add the gradients of a batch; its share of an update is 1, or for gradient descent its share of all rows."""
        x, y_B = self._placed(*batch)
        if self.drawn is not None:
            x = augmented(x, self.section.augment, torch.from_numpy(self.drawn[rows_B]).to(x.device))
        with self.place.autocast():
            outputs_BK = self.model(x)
        loss = self.loss(outputs_BK.float(), y_B, rows_B)
        share = 1.0 if self.updates == self.steps else len(rows_B) / len(self.train)
        ((loss + penalty(self.model, self.section.l1, self.section.l2)) * share).backward()
        self.loss_sum += loss.detach() * len(rows_B)

    def _update(self) -> None:
        set_learning_rate(self.optimizer, self._rate(self.step))
        if self.section.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.section.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _rate(self, step: int) -> float:
        """The learning rate of the update that ends with `step` steps of this epoch."""
        update = self.epoch * self.updates + (step if self.updates == self.steps else 1) - 1
        return learning_rate(self.section, update, self.section.epochs * self.updates)

    def _end_epoch(self, rows_per_second: float) -> None:
        train_loss = self._mean_loss(len(self.train))
        loss, quality = self._evaluate()
        rate = self._rate(self.steps)
        entry = {"train_loss": train_loss, "validation_loss": loss, "validation_metric": quality}
        self.history.append({"epoch": self.epoch + 1, **entry, "learning_rate": rate})
        if self.section.early_stopping_epochs and self._best_epoch() == len(self.history) - 1:
            self.best = copy.deepcopy(self.model.state_dict())
        self.tell("progress", **self._where(), **entry, **self._pace(rows_per_second))
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum.zero_()
        self._save()

    def _evaluate(self) -> tuple[float | None, float | None]:
        rows = len(self.validation)
        if not rows:
            return None, None
        self.model.eval()
        loss, total = torch.zeros(2, dtype=torch.float64, device=self.place.device)
        measure, targets = task_loss(self.task), 0
        at_once = language.EVALUATION_ROWS if self.task == "language_model" else EVALUATION_ROWS
        with torch.no_grad():
            for start in range(0, rows, at_once):
                rows_B = np.arange(start, min(start + at_once, rows))
                x, y_B = self._placed(*self.validation.batch(rows_B))
                with self.place.autocast():
                    outputs_BK = self.model(x)
                found = target_count(self.task, y_B)
                loss += measure(outputs_BK.float(), y_B, rows_B) * found
                targets += found
                total += metric_sum(self.task, outputs_BK.float(), y_B)
        return self._number(loss.item() / targets), metric(self.task, total.item(), targets)

    def _placed(self, *batch: np.ndarray) -> tuple[Tensor, Tensor]:
        x, y_B = (torch.from_numpy(part).to(self.place.device) for part in batch)
        return x.contiguous(memory_format=self.format), y_B

    def _best_epoch(self) -> int:
        return min(range(len(self.history)), key=lambda i: self.history[i]["validation_loss"])

    def _stopped(self) -> bool:
        patience = self.section.early_stopping_epochs
        if patience and not len(self.validation):
            raise ConfigError(
                f"train.early_stopping_epochs {patience}: found no validation rows, wanted some; raise data.validation_share or set 0"
            )
        return bool(patience and self.history) and len(self.history) - 1 - self._best_epoch() >= patience

    def _mean_loss(self, rows: int) -> float:
        return self._number(self.loss_sum.item() / rows)

    def _number(self, loss: float) -> float:
        if np.isfinite(loss):
            return loss
        raise ConfigError(
            f"train: found loss {loss} in epoch {self.epoch + 1}, step {self.step}, wanted a finite number; "
            f"lower train.learning_rate (now {self.section.learning_rate:g}) or raise train.warmup_share"
        )

    def _tell_progress(self, rows_per_second: float, rows: int) -> None:
        self.tell("progress", **self._where(), train_loss=self._mean_loss(rows), **self._pace(rows_per_second))

    def _pace(self, rows_per_second: float) -> dict[str, float]:
        if self.task == "language_model":
            return {"tokens_per_second": round(rows_per_second * self.train.shape[0])}
        return {"rows_per_second": round(rows_per_second, 1)}

    def _where(self) -> dict[str, int]:
        return {"epoch": self.epoch + 1, "epochs": self.section.epochs, "step": self.step, "steps": self.steps}

    def _job(self) -> str:
        """Which training this is: its section, its rows, whatever the conditions."""
        fields = json.dumps([work_fields(self.section), len(self.train), self.job], sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        if self.step:
            self._mean_loss(1)  # a checkpoint never keeps a loss that is no number
        groups = {
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": optimizer_tensors(self.optimizer),
            "gradient": {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None},
            "generator": generator_tensors(),
            "loop": {"loss_sum": self.loss_sum},
        }
        tensors = {f"{group}.{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
        facts = {
            "job": self._job(),
            "conditions": self.place.conditions(),
            "continued": self.continued,
            "consumed": self.loader.consumed,
            "history": self.history,
        }
        save_checkpoint(self.checkpoints, self.epoch * self.steps + self.step, facts, tensors)

    def _resume(self) -> None:
        found = latest_checkpoint(self.checkpoints) if self.checkpoints else None
        if found is None:
            return
        if found.facts.get("job") != self._job():
            self.tell("restarted", reason="the checkpoint is of another training")
            return
        changes = differing(found.facts["conditions"], self.place.conditions())
        epoch, step = self.sampler.where(found.facts["consumed"])
        where = {"epoch": epoch + 1, "step": step}
        if changes and not goes_on(self.section, changes, f"epoch {where['epoch']}, step {where['step']}"):
            self.tell("restarted", reason=f"the checkpoint was written under other conditions: {described(changes)}")
            return
        self.model.load_state_dict(found.group("model"))
        load_optimizer(self.optimizer, found.group("optimizer"))
        for name, gradient in found.group("gradient").items():
            parameter = self.model.get_parameter(name)
            parameter.grad = laid_out(gradient, parameter)
        self.best = found.group("best")
        self.loss_sum.copy_(found.group("loop")["loss_sum"])
        self.loader.consumed, self.history = found.facts["consumed"], found.facts["history"]
        self.epoch, self.step = epoch, step
        self.continued = found.facts["continued"] + ([{**where, "changed": changes}] if changes else [])
        load_generators(found.group("generator"))
        self.tell("resumed", **where, **({"under_other_conditions": described(changes)} if changes else {}))
