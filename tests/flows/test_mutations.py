"""Random mutations of a project between two runs: what is found, what is computed, and what is said about it.

Trials are drawn from SEED; MUTATIONS says how many there are. `SEED=3 pytest -k trial-17` repeats one.
"""

import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator

import disturbing
import mutating
import pytest
from laboratory import Afresh, Laboratory
from mutating import Mutation
from prefect_server import speaking_to

from flows.journal import CACHED, COMPUTED
from flows.planning import DEPENDS, HIT, MISS, Planned

SEED = int(os.environ.get("SEED", "4"))
TRIALS = int(os.environ.get("MUTATIONS", "40"))
KINDS = {
    **{role: mutating.in_code(role) for role in ("helper", "constant", "default", "closure", "decorator", "method")},
    "class attribute": mutating.in_code("class attribute"),
    "unreached code": mutating.in_code("unreached"),
    "wiring": mutating.wiring,
    "what cannot be followed": mutating.obstacle,
    "definitions beside": mutating.beside,
    "comments": mutating.comments,
    "docstrings": mutating.docstrings,
    "formatting": mutating.formatting,
    "configuration": disturbing.configuration,
    "fields not in keys": disturbing.not_in_key,
    "data byte": disturbing.data_byte,
    "shard added": disturbing.shard_added,
    "shard removed": disturbing.shard_removed,
    "shard renamed": disturbing.shard_renamed,
    "data written anew": disturbing.data_untouched,
    "library": disturbing.library,
    "library beside": disturbing.library_beside,
    **{f"artifact {how}": disturbing.artifact(how) for how in ("deleted", "truncated", "flipped")},
    "beside artifacts": disturbing.beside_artifacts,
}
NEEDS = {"gather": (), "fit": ("gather",), "train": ("gather", "fit"), "announce": ()}
SIBLINGS = "shrink "


@pytest.fixture(scope="module")
def first(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Laboratory, Afresh]]:
    """The laboratory after its first run, its store kept beside it; and what that came to."""
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "root").mkdir()
    with pytest.MonkeyPatch.context() as patch, speaking_to(prefect_api, folder / "prefect"):
        patch.setenv("MILLRACE_ROOT", str(folder / "root"))
        patch.setenv("LAB_CALLS", str(folder / "calls"))
        patch.setattr(
            sys, "dont_write_bytecode", True
        )  # files change here within the second that Python's own cache sees
        patch.setattr(sys, "path", [str(folder / "code"), str(folder / "libraries"), *sys.path])
        lab = Laboratory(folder)
        lab.new()
        lab.steps = {entry["key"]: name for name, entry in lab.run().items()}
        shutil.copytree(lab.store, folder / "first")
        yield lab, lab.afresh()
        lab.forget()


@pytest.fixture
def lab(first: tuple[Laboratory, Afresh]) -> Laboratory:
    """The laboratory as it was right after its first run."""
    lab = first[0]
    lab.new()
    shutil.rmtree(lab.store)
    shutil.copytree(lab.folder / "first", lab.store)
    lab.calls()
    return lab


@pytest.fixture(scope="module")
def told() -> Iterator[Counter[tuple[str, str]]]:
    """What came of the trials, by kind; shown at the end where they were asked for."""
    counts: Counter[tuple[str, str]] = Counter()
    yield counts
    columns = ("trials", HIT, MISS, DEPENDS, COMPUTED, CACHED)
    lines = [f"{kind:<26}" + "".join(f"{counts[kind, name]:>10}" for name in columns) for kind in (*KINDS, "all")]
    print(f"\nseed {SEED}\n{'':<26}{''.join(f'{name:>10}' for name in columns)}", *lines, sep="\n")  # noqa: T201


@pytest.mark.parametrize("number", range(TRIALS), ids=lambda number: f"seed-{SEED}-trial-{number}")
def test_a_mutation_is_met_by_what_it_calls_for(
    number: int, lab: Laboratory, first: tuple[Laboratory, Afresh], told: Counter[tuple[str, str]]
):
    draw = random.Random(f"{SEED} {number}")
    kind = list(KINDS)[number % len(KINDS)]
    mutation = KINDS[kind](lab, draw)
    print(f"{kind}: {mutation.said}")  # noqa: T201  shown where the trial fails

    planned = lab.plan()
    assert {name: step.state for name, step in planned.items()} == _states(mutation, planned)
    for name, step in planned.items():
        _is_explained(mutation, name, step, planned)

    ran = lab.run()
    calls = lab.calls()
    assert calls == sorted(name for name, entry in ran.items() if entry["state"] == COMPUTED)
    for name, step in planned.items():
        assert ran[name]["state"] == {HIT: CACHED, MISS: COMPUTED}.get(step.state, ran[name]["state"]), name
        assert ran[name]["why"] == step.why or step.state == DEPENDS

    fresh = lab.afresh()
    assert {name: entry["output"] for name, entry in ran.items()} == fresh.outputs
    for name, entry in ran.items():
        assert entry["state"] in _outcomes(mutation, name, fresh, first[1]), name
        assert bool(entry["why"]) == (entry["state"] == COMPUTED)

    told.update(((kind, what), count) for what, count in _counted(planned, ran).items())
    told.update((("all", what), count) for what, count in _counted(planned, ran).items())
    _again(lab, mutation)


def _again(lab: Laboratory, mutation: Mutation) -> None:
    """What was computed is found; and back in the first state, all of that is found too."""
    lab.calls()
    states = {name: step.state for name, step in lab.plan().items()}
    assert (set(states.values()) == {HIT}) if mutation.cacheable else (states == _states(mutation, states))
    lab.new()
    assert {step.state for step in lab.plan().values()} == {HIT}
    assert lab.calls() == []


def _states(mutation: Mutation, names: object) -> dict[str, str]:
    """The state that each step must have in a plan."""
    states: dict[str, str] = {}
    for name in list(names):  # type: ignore[call-overload]
        if _waits_for(name, states) or (name in mutation.damaged and MISS in _mended_by(mutation, name, states)):
            states[name] = DEPENDS
        else:
            states[name] = MISS if name in mutation.touched or name in mutation.damaged else HIT
    assert ("announce" in states) == (states["pick"] == HIT)
    return states


def _waits_for(name: str, states: dict[str, str]) -> list[str]:
    """The steps above that are no hit."""
    shrunk = [other for other in states if other.startswith(SIBLINGS)]
    needs = ("train",) if name.startswith(SIBLINGS) else (*shrunk, "gather") if name == "pick" else NEEDS[name]
    return [other for other in needs if states[other] != HIT]


def _mended_by(mutation: Mutation, name: str, states: dict[str, str]) -> list[str]:
    """The states of the steps before, whose output has the same damage."""
    return [states[other] for other in states if other in mutation.damaged and other != name]


def _is_explained(mutation: Mutation, name: str, step: Planned, planned: dict[str, Planned]) -> None:
    if step.state == MISS:
        wanted = {**mutation.damaged, **mutation.touched}[name]
        assert any(wanted in reason for reason in step.why), (wanted, step.why)
    elif step.state == DEPENDS:
        assert step.on
        assert all(planned[other].state != HIT for other in step.on)
    else:
        assert not step.why
        assert not step.on


def _outcomes(mutation: Mutation, name: str, fresh: Afresh, first: Afresh) -> set[str]:
    """What may become of a step in the run."""
    if name in mutation.touched or fresh.inputs[name] != first.inputs.get(name):
        return {COMPUTED}
    if name not in mutation.damaged:
        return {CACHED}
    if name.startswith(SIBLINGS) and "train" in mutation.damaged:
        return {CACHED}  # what train made again has mended it
    shared = name.startswith(SIBLINGS) and len(mutation.damaged) > 1
    return {CACHED, COMPUTED} if shared else {COMPUTED}


def _counted(planned: dict[str, Planned], ran: dict[str, dict[str, object]]) -> Counter[str]:
    return Counter(
        ["trials", *(step.state for step in planned.values()), *(str(entry["state"]) for entry in ran.values())]
    )


def test_every_kind_of_mutation_is_among_the_trials():
    assert len(KINDS) <= TRIALS


def test_damage_that_two_steps_share_is_mended_by_the_first(lab: Laboratory):
    """Whether the second must run, too, is known when the first has."""
    shared = next(path for path in lab.store.rglob("*.json") if path.read_bytes() == b'{"terms": 2}')
    shared.unlink()
    planned = lab.plan()
    assert [(step.state, step.on) for name, step in planned.items() if name.startswith(SIBLINGS)] == [
        (MISS, ()),
        (DEPENDS, ("shrink a",)),
    ]
    assert planned["shrink b"].why == planned["shrink a"].why
    assert lab.run()["shrink a"]["state"] == COMPUTED
    assert shared.read_bytes() == b'{"terms": 2}'
