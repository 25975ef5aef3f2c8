"""What the steps reach: what they run, also as programs and by name, and nothing of other stages."""

import inspect

import pytest

from flows.steps import STEPS, Step
from storage.fingerprints import reach
from tasks.nn.compressor import PASSES, REACHES


def defined(step: str) -> set[str]:
    return set(reach(step).definitions)


def test_every_pass_of_the_compressor_is_reached_by_its_step():
    assert set(REACHES) == set(PASSES.values())
    passes = {f"{module}:apply" for module in PASSES.values()}
    assert passes | {"tasks.graphs.quantise:quantise"} <= defined("tasks.compression:compress")


@pytest.mark.parametrize(
    ("step", "definition"),
    [
        ("tasks.preparation:prepare", "tasks.frames.splitting:assign_splits"),
        ("tasks.preparation:prepare", "infra.local_cluster:(main)"),
        ("tasks.training:train", "tasks.nn.fit:Fit"),
        ("tasks.training:train", "tasks.nn.trainer:(main)"),
        ("tasks.training:train", "tasks.estimators.fitting:fit"),
        ("tasks.training:train", "infra.tether:(main)"),
        ("tasks.evaluation:score", "tasks.scoring.metrics:score"),
        ("tasks.evaluation:measure", "tasks.inference.latency:measure"),
        ("tasks.release:release", "tasks.service.batcher:Batcher"),
        ("tasks.release:release", "tasks.inference.parity:(main)"),
    ],
)
def test_a_step_reaches_what_it_runs(step: str, definition: str):
    assert definition in defined(step)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_nothing_in_our_own_steps_keeps_them_from_being_cached(step: Step):
    found = reach(step.function)
    assert found.obstacles == ()
    assert "prefect" not in found.libraries


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_is_declared_with_the_parameters_of_its_function(step: Step):
    declared = {*step.sections, *step.inputs, "storage"}
    assert declared == set(inspect.signature(step.load().fn).parameters)


def test_a_step_does_not_reach_what_other_stages_run():
    training = defined("tasks.training:train")
    assert not {name for name in training if name.startswith(("tasks.frames", "tasks.service", "flows"))}
    assert not {name for name in defined("tasks.evaluation:measure") if name.startswith(("tasks.scoring", "tasks.nn"))}
