"""Pass distil: train on the teacher's answers and the labels together. Killed, it begins anew, and comes to the same bits."""

import numpy as np

from storage.errors import ConfigError
from tasks.nn.candidates import Candidate, Context
from tasks.nn.descriptions import build_model
from tasks.nn.devices import settle
from tasks.nn.fit import Fit
from tasks.nn.generators import seed_generators
from tasks.nn.language import taught_loss
from tasks.nn.losses import distillation_loss, training_loss
from tasks.sections import AugmentOptions, Distil, TrainSection
from tasks.splits import Samples, some

TEACHER_ROWS = 256


def apply(candidate: Candidate, settings: Distil, context: Context) -> Candidate:
    """The candidate's network, trained further; for a model that is no network, a new mlp of `hidden` widths."""
    section = _section(context.section, settings)
    place = settle(section)
    seed_generators(section.seed)
    if candidate.module is None:
        candidate = _fresh_mlp(candidate, settings)
    module = candidate.trainable("distil")
    task = candidate.description["task"]
    train = some(context.train, settings.rows_share, section.seed)
    if task == "language_model":
        loss = taught_loss(context.teacher, train, settings.temperature, settings.soft_share)
    else:
        hard = training_loss(section, task, candidate.description["outputs"])
        loss = distillation_loss(hard, task, _taught(context, train), settings.temperature, settings.soft_share)
    Fit(module, section, place, task, train, context.validation, loss, context.tell).run()
    return Candidate(candidate.description, module.cpu())


def _section(section: TrainSection, settings: Distil) -> TrainSection:
    """How the student learns: as the teacher did, but by AdamW, as the recipes' learning rates are for it, and on rows as they are,
    as the teacher's answers are for those."""
    changes = {
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "early_stopping_epochs": 0,
        "optimizer": "adamw",
        "augment": AugmentOptions(),
    }
    return section.model_copy(update=changes)


def _fresh_mlp(candidate: Candidate, settings: Distil) -> Candidate:
    if not settings.hidden:
        raise ConfigError(
            "pass distil: found no hidden widths, wanted some for the mlp that learns from the ensemble; set hidden, as in [64, 32]"
        )
    options = {"hidden": list(settings.hidden), "dropout": 0.0}
    description = candidate.description | {"family": "mlp", "options": options}
    return Candidate(description, build_model(description))


def _taught(context: Context, train: Samples) -> np.ndarray:
    rows = np.arange(len(train))
    parts = [rows[start : start + TEACHER_ROWS] for start in range(0, len(train), TEACHER_ROWS)]
    return np.concatenate([context.teacher(train.batch(part)[0]) for part in parts])
