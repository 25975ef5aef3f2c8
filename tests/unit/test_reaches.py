"""What is started or imported by name is declared, so that a change in it changes the key of the step that uses it."""

import inspect

import pytest

from flows.steps import STEPS, Step
from storage.fingerprints import reached
from tasks.nn.compressor import PASSES, REACHES


def test_every_pass_of_the_compressor_is_reached_by_its_step():
    assert set(REACHES) == set(PASSES.values())
    assert set(PASSES.values()) <= set(reached("tasks.compression"))
    assert "tasks.graphs.quantise" in reached("tasks.compression")


@pytest.mark.parametrize(
    ("step", "module"),
    [
        ("tasks.preparation", "tasks.frames.splitting"),
        ("tasks.training", "tasks.nn.fit"),
        ("tasks.training", "tasks.estimators.fitting"),
        ("tasks.evaluation", "tasks.scoring.metrics"),
        ("tasks.evaluation", "tasks.inference.latency"),
        ("tasks.release", "tasks.service.batcher"),
        ("tasks.release", "tasks.inference.parity"),
    ],
)
def test_a_step_reaches_what_it_runs(step: str, module: str):
    assert module in reached(step)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_is_declared_with_the_parameters_of_its_function(step: Step):
    declared = {*step.sections, *step.inputs, "storage"}
    assert declared == set(inspect.signature(step.load().fn).parameters)


def test_a_step_does_not_reach_what_other_stages_run():
    assert not {
        name for name in reached("tasks.training") if name.startswith(("tasks.frames", "tasks.service", "flows"))
    }
