"""The second stage: a weight from numbers, and smaller ones from it."""

from lab.bending import bent
from lab.keeping import get, note, put
from lab.maths import mean
from lab.rules import RULES
from lab.stepping import stepper
from lab.tables import OFFSETS, STEPS
from storage.refs import ArtifactRef, ModelRef
from tasks.policies import step

LICENSE = {"terms": 2}


@step("train")
def train(train, dataset, transforms, storage):
    """A weight."""
    note("train")
    fitted = get(transforms)
    weight = RULES[train.rule](mean(get(dataset)["numbers"]) + fitted["centre"] + fitted["moved"] + OFFSETS["first"])
    for _ in range(train.rounds):
        weight = bent(weight)
    return ModelRef(storage, put("model", {"value.json": {"weight": weight, "of": len(fitted["squares"])}}, storage))


@step("shrink")
def shrink(recipe, model, storage):
    """A smaller weight, with the one that it came from and a licence that all share."""
    note(f"shrink {recipe.name}")
    weight = get(model)["weight"]
    for size in STEPS:
        weight = stepper(size)(weight) - recipe.share
    value = {"weight": weight, "recipe": recipe.name}
    files = {"value.json": value, "model/value.json": get(model), "license.json": LICENSE}
    return ArtifactRef(storage, put("artifact", files, storage))


def grown(weight):
    """Nothing reaches this."""
    return weight * 21
