"""Trials of the whole chain: each is drawn from a seed, killed once or twice, run again to its end, and held to the undisturbed run."""

import json
import random
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from commands import Ended
from killed import Run, collected, damage, finished, kill_from_outside, left_over, outputs, records

SHORT_LIVED = {
    "trainer": 4.0,
    "compressor": 6.0,
    "parity": 1.0,
    "service": 1.0,
    "scheduler": 3.0,
    "worker": 1.5,
    "server": 25.0,
}
OUTSIDE = ("command", "flow", "scheduler", "worker", "trainer", "compressor", "parity", "service", "server")
WHOM = ("self", "self", "flows.by_hand", "flows.cli", "interrupt")
DRAWS = 8  # each in a new folder, until a moment is met at which what is to be killed still lives
SHORT_OF_TEN = {"inside": 5, "outside": 4, "interrupt": 1}
AGAIN, TWICE = 0.1, 0.2  # shares of trials: on a store that is full, killed twice
COLLECTED = 0.2  # and cleared up, then run once more


@dataclass
class Undisturbed:
    """What an undisturbed run gave. `points`: those that it passed; `seconds`: it took so long; `again`: of these what one gives that
    finds everything done."""

    home: Path
    wanted: dict[str, str]
    points: list[dict[str, Any]]
    seconds: float
    left: list[str]
    again: "Undisturbed | None" = None


@dataclass
class Trial:
    """What became of one seed. `faults`: whatever did not hold; empty: all did."""

    seed: int
    kills: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    wanted: str = ""

    def line(self) -> str:
        """The trial as a line of the log."""
        return json.dumps(asdict(self))


def undisturbed(folder: Path, rows: Path, settings: Mapping[str, str]) -> Undisturbed:
    """Run the chain once to its end. AssertionError where even that fails."""
    began = time.monotonic()
    run, ended = finished(folder, rows, settings)
    seconds = time.monotonic() - began
    assert ended.code == 0, ended.err
    assert run.orphans() == []
    return Undisturbed(folder, outputs(run.store, ended.json), run.passed(), seconds, left_over(run))


def tried(seed: int, folder: Path, rows: Path, settings: Mapping[str, str], model: Undisturbed) -> Trial:
    """Trial `seed` in `folder`, which must be new; it is removed again where everything held."""
    draw, began = random.Random(seed), time.monotonic()
    trial, run = Trial(seed), Run(folder, rows, settings)
    kept: Mapping[str, bytes] = {}
    for _ in range(DRAWS):
        shutil.rmtree(folder, ignore_errors=True)
        full = model.again if draw.random() < AGAIN else None
        if full:
            shutil.copytree(model.home, folder)
        kept, landed = kill_once(trial, run, drawn(draw, full or model), model, {})
        if landed and trial.kills[-1]["code"] != 0 and draw.random() < TWICE:
            kept, _ = kill_once(trial, run, drawn(draw, model), model, kept)
        if landed or trial.faults:
            break
    go_on(trial, run, model, kept, "again")
    if draw.random() < COLLECTED:
        trial.faults += collected(run)
        go_on(trial, run, model, records(run.store), "after gc")
    trial.seconds = round(time.monotonic() - began, 1)
    if not trial.faults:
        shutil.rmtree(folder)
    return trial


def together(number: int, folder: Path, rows: Path, settings: Mapping[str, str], model: Undisturbed) -> Trial:
    """Two runs of one configuration at the same time: of even numbers in one data root, of odd ones in two that share a store."""
    began, trial = time.monotonic(), Trial(-1 - number)
    homes = [folder / "one", folder / ("one" if number % 2 == 0 else "two")]
    runs = [Run(home, rows, settings, shared=folder / "store") for home in homes]
    for run in runs:
        run.start()
    for run, name in zip(runs, ("one", "other"), strict=True):
        _judge_end(trial, run, run.end(), model, {}, name)
    trial.seconds = round(time.monotonic() - began, 1)
    if not trial.faults:
        shutil.rmtree(folder)
    return trial


def drawn(draw: random.Random, model: Undisturbed) -> dict[str, Any]:
    """A moment to kill at, and whom: at a point inside a process, or a process from outside, some time after its start."""
    kind = draw.choices(list(SHORT_OF_TEN), list(SHORT_OF_TEN.values()))[0]
    if kind == "inside":
        name = draw.choice(sorted({point["name"] for point in model.points}))  # rare points as often as frequent ones
        number = draw.choice([point["number"] for point in model.points if point["name"] == name])
        return {"name": name, "number": number, "whom": draw.choice(WHOM)}
    ever = OUTSIDE if model.again else ("command", "flow")  # where all is done nothing else is started
    role = draw.choice(ever) if kind == "outside" else "command"
    delay = draw.uniform(0, SHORT_LIVED.get(role, model.seconds))
    return {"role": role, "delay": round(delay, 3), "interrupt": kind == "interrupt"}


def kill_once(
    trial: Trial, run: Run, moment: Mapping[str, Any], model: Undisturbed, before: Mapping[str, bytes]
) -> tuple[Mapping[str, bytes], bool]:
    """Run and kill at that moment; the records that were there after it, and whether it came."""
    run = Run(run.home, run.rows, _settings(run, moment))
    landed, ended = _killed_at(run, moment)
    trial.kills.append({**moment, "landed": landed, "code": ended.code})
    _judge(trial, run, ended, model, before, landed)
    return records(run.store), landed


def _settings(run: Run, moment: Mapping[str, Any]) -> Mapping[str, str]:
    """To kill Prefect's server there must be one of the run's own."""
    own = moment.get("role") == "server"
    return {name: value for name, value in run.settings.items() if not own or name != "PREFECT_API_URL"}


def _killed_at(run: Run, moment: Mapping[str, Any]) -> tuple[bool, Ended]:
    """Start the run, and kill at that moment; whether it came, and how the command ended."""
    inside = "name" in moment
    run.start(stop=moment if inside else None)
    if inside:
        ended = run.end()
        return (run.points / "reached").exists(), ended
    landed = kill_from_outside(run, moment["role"], moment["delay"], moment["interrupt"])
    return landed, run.end()


def _judge(trial: Trial, run: Run, ended: Ended, model: Undisturbed, before: Mapping[str, bytes], landed: bool) -> None:
    """What must hold after a kill, whatever was killed."""
    where = f"kill {len(trial.kills)}"
    trial.faults += [f"{where}: orphan {orphan}" for orphan in run.orphans()]
    trial.faults += [f"{where}: {wrong}" for wrong in damage(run.store)]
    if "Traceback" in ended.err or "no end after" in ended.err:
        trial.faults.append(f"{where}: {ended.err[-1500:]}")
    if ended.code == 0:
        _compare(trial, run, ended, model, before, where)
    elif not landed:
        trial.faults.append(f"{where}: not killed, and ended with {ended.code}: {ended.err[-1500:]}")


def go_on(trial: Trial, run: Run, model: Undisturbed, before: Mapping[str, bytes], which: str) -> None:
    """Run undisturbed, anew: it must give what the undisturbed run gave, repeat nothing, and leave nothing behind."""
    run = Run(run.home, run.rows, run.settings)
    run.start()
    _judge_end(trial, run, run.end(), model, before, which)


def _judge_end(
    trial: Trial, run: Run, ended: Ended, model: Undisturbed, before: Mapping[str, bytes], which: str
) -> None:
    if ended.code != 0:
        trial.faults.append(f"{which}: ended with {ended.code}: {ended.err[-1500:]}")
        return
    _compare(trial, run, ended, model, before, which)
    trial.faults += [f"{which}: orphan {orphan}" for orphan in run.orphans()]
    trial.faults += [f"{which}: {wrong}" for wrong in damage(run.store)]
    trial.faults += [f"{which}: left {name}" for name in left_over(run) if name not in model.left]


def _compare(trial: Trial, run: Run, ended: Ended, model: Undisturbed, before: Mapping[str, bytes], which: str) -> None:
    found = outputs(run.store, ended.json)
    judged_before = {"judge"} - found.keys()  # nothing is judged that serves already
    for name, wanted in model.wanted.items():
        if found.get(name) != wanted and name not in judged_before:
            trial.faults.append(f"{which}: {name}: found {found.get(name)}, wanted {wanted}")
    now = records(run.store)
    trial.faults += [f"{which}: record {key} was changed" for key, content in before.items() if now.get(key) != content]
    for step in ended.json["steps"]:
        mine = [key for key in now if key.startswith(f"steps/{step['key']}/")]
        if len(mine) != 1:
            trial.faults.append(f"{which}: {step['name']}: found {len(mine)} records, wanted 1")
        if any(key in before for key in mine) and step["state"] != "cached":
            trial.faults.append(f"{which}: {step['name']}: was committed, and is {step['state']} again")
