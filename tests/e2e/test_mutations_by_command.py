"""Mutations of the real chain between two runs, by the command: `plan` says what `run` then does, and why.

MUTATIONS in the environment runs all of them, some with the same computed in an empty store; without it a few.
"""

import os
import random
import shutil

import pytest
from mutated_chain import CODE, Chain, artifact, beside, code, data, library, setting, words
from mutating import Mutation

from flows.journal import CACHED, COMPUTED
from flows.planning import DEPENDS, HIT, MISS

SEED = int(os.environ.get("SEED", "4"))
ALL = {
    "comments, docstrings, formatting": words,
    "unreached functions": beside,
    "fields not in keys": setting("compress.parallel", 1, (), ""),
    **{kind: code(kind) for kind in CODE},
    "library": library,
    "epochs": setting("train.epochs", 3, ("train",), "train.epochs: 2 → 3"),
    "recipe": setting("compress.recipes.0.passes.0.calibration_rows", 40, ("compress small",), "calibration_rows"),
    "margin": setting("evaluate.margin", 0.35, ("choose",), "evaluate.margin: 0.3 → 0.35"),
    "resamples": setting("evaluate.resamples", 300, ("score fp32", "score small"), "resamples: 200 → 300"),
    "data byte": data("byte"),
    **{f"shard {how}": data(how) for how in ("added", "removed", "renamed")},
    "record truncated": artifact("record", "truncated", "choose"),
    "record deleted": artifact("record", "deleted", "measure"),
    "first record truncated": artifact("record", "truncated", "prepare"),
    "blob flipped": artifact("blob", "flipped", "score small"),
    "blob deleted": artifact("blob", "deleted", "compress small"),
    "blob truncated": artifact("blob", "truncated", "encode"),
    "manifest deleted": artifact("manifest", "deleted", "prepare"),
    "manifest flipped": artifact("manifest", "flipped", "score fp32"),
}
QUICK = ("comments, docstrings, formatting", "unreached functions", "constant", "blob flipped")
AFRESH = ("epochs", "default of a field", "data byte", "shard added", "shard removed", "shard renamed", "recipe")
NEEDS = {
    "prepare": (),
    "fit": ("prepare",),
    "encode": ("prepare", "fit"),
    "train": ("encode",),
    "compress": ("train", "encode", "fit"),
    "measure": ("compress", "encode"),
    "choose": ("compress", "score", "measure", "encode"),
    "judge": ("choose",),
    "release": ("choose",),
}


@pytest.fixture(scope="module")
def chain(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, dict[str, str]]:
    """The chain after its first run, and what that came to; its home is kept."""
    made = Chain(tmp_path_factory.mktemp("chain"), prefect_api)
    made.new()
    outputs = made.outputs(made.run(server=True))
    shutil.copytree(made.home, made.folder / "first")
    return made, outputs


@pytest.mark.parametrize("kind", ALL if "MUTATIONS" in os.environ else QUICK)
def test_what_is_planned_after_a_mutation_is_what_runs(chain: tuple[Chain, dict[str, str]], kind: str):
    made, first = chain
    made.new(made.folder / "first")
    mutation = ALL[kind](made, random.Random(f"{SEED} {kind}"))
    print(f"seed {SEED}, {kind}: {mutation.said}")  # noqa: T201  shown where the trial fails
    planned = made.plan()
    states = {name: step["state"] for name, step in planned.items()}
    _are_right(mutation, planned)

    ran = made.run(server=set(states.values()) != {HIT})
    for name, state in states.items():
        assert name not in ran or ran[name]["state"] == {HIT: CACHED, MISS: COMPUTED}.get(state, ran[name]["state"])
    for name, step in ran.items():
        assert bool(step["why"]) == (step["state"] == COMPUTED)
        assert states.get(name) != MISS or step["why"] == planned[name]["why"]
        assert step["state"] == COMPUTED or name not in mutation.touched
    outputs = made.outputs(ran)
    if not mutation.touched or "equal" in kind:
        assert {name: first[name] for name in outputs if name in first} == {
            n: outputs[n] for n in outputs if n in first
        }
    assert {step["state"] for step in made.plan().values()} == {HIT}
    if kind in AFRESH:
        shutil.rmtree(made.store)
        assert outputs == made.outputs(made.run(server=True))


def _are_right(mutation: Mutation, planned: dict[str, dict]) -> None:
    """A step that needs one that is no hit DEPENDS on it; of the others those MISS that were meant to, with the reason."""
    wanted = {**mutation.damaged, **mutation.touched}
    states: dict[str, str] = {}
    for name, step in planned.items():
        kind, _, case = name.partition(" ")
        needs = (f"compress {case}", "encode") if kind == "score" else NEEDS[kind]
        above = [other for other in states if other.startswith(needs) and states[other] != HIT]
        states[name] = DEPENDS if above else MISS if name in wanted else HIT
        assert step["state"] == states[name], (name, step)
        assert set(step["depends_on"]) <= set(above)
        assert bool(step["depends_on"]) == bool(above)
        assert states[name] != MISS or any(wanted[name] in reason for reason in step["why"]), (name, step)
