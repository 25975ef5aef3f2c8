"""`make soak`: the whole chain, killed a hundred times at moments drawn from seeds, each time run again to the digests of an undisturbed run.

SOAK_SEED is the first seed (0), SOAK_TRIALS how many follow (100), SOAK_PAIRS how many times two runs go at once after that (10); those
are logged as the seeds -1, -2 …. Each trial adds a line to SOAK_LOG (soak.jsonl), and what is there
already for the same code is not tried again: stopped, it goes on. What failed keeps its folder.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' own modules

from killed import write_rows
from prefect_server import prefect_server
from trials import Trial, Undisturbed, together, tried, undisturbed


def main() -> int:
    """Try what is not in the log yet; 0 where every trial of these seeds held."""
    first, count = int(os.environ.get("SOAK_SEED", "0")), int(os.environ.get("SOAK_TRIALS", "100"))
    pairs = int(os.environ.get("SOAK_PAIRS", "10"))
    log = Path(os.environ.get("SOAK_LOG", "soak.jsonl"))
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    say(f"soak: seeds {first} to {first + count - 1}, log {log}, folder {folder}")
    write_rows(folder / "rows")
    with prefect_server(folder / "prefect") as api:
        settings = {"PREFECT_API_URL": api, "PREFECT_HOME": str(folder / "prefect-of-runs")}
        model = undisturbed(folder / "undisturbed", folder / "rows", settings)
        model.again = undisturbed(folder / "undisturbed", folder / "rows", settings)
        wanted = hashlib.sha256(json.dumps(model.wanted, sort_keys=True).encode()).hexdigest()[:16]
        say(f"soak: undisturbed in {model.seconds:.1f} s, digests {wanted}")
        done = {trial.seed: trial for trial in known(log) if trial.wanted == wanted}
        seeds = [*range(first, first + count), *range(-1, -1 - pairs, -1)]
        for seed in seeds:
            if seed not in done:
                done[seed] = one(seed, folder, settings, model, log, wanted)
    code = summary([done[seed] for seed in seeds])
    if code == 0:
        shutil.rmtree(folder)
    return code


def one(seed: int, folder: Path, settings: dict[str, str], model: Undisturbed, log: Path, wanted: str) -> Trial:
    """Try one seed, and write down what became of it."""
    which, place = (tried, seed) if seed >= 0 else (together, -1 - seed)
    trial = which(place, folder / f"trial-{seed}", folder / "rows", settings, model)
    trial.wanted = wanted
    with log.open("a") as file:
        file.write(trial.line() + "\n")
    say(f"soak: seed {seed}: {shown(trial)}")
    return trial


def shown(trial: Trial) -> str:
    """A trial on one line, and what failed below it."""
    kills = "; ".join(
        f"{kill.get('name') or kill['role']} {kill.get('number', kill.get('delay'))} "
        f"{kill.get('whom') or ('SIGINT' if kill['interrupt'] else 'SIGKILL')}{'' if kill['landed'] else ' (missed)'}"
        for kill in trial.kills
    )
    return "\n    ".join(
        [f"{'held' if not trial.faults else 'FAILED'}, {trial.seconds} s, {kills or 'two at once'}", *trial.faults]
    )


def known(log: Path) -> list[Trial]:
    """What the log holds."""
    return [Trial(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def summary(trials: list[Trial]) -> int:
    """Say what came of all; 0 where every one held."""
    landed = [kill for trial in trials for kill in trial.kills if kill["landed"]]
    kinds = Counter(kill.get("name") or f"{kill['role']}{' SIGINT' if kill['interrupt'] else ''}" for kill in landed)
    failed = [trial.seed for trial in trials if trial.faults]
    seconds = sum(trial.seconds for trial in trials)
    say(f"\nsoak: {len(trials)} trials, {len(landed)} kills, {len(trials) - len(failed)} held, {seconds:.0f} s")
    say("\n".join(f"  {count:4} {kind}" for kind, count in kinds.most_common()))
    say(f"soak: failed seeds: {failed or 'none'}")
    return 1 if failed else 0


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
