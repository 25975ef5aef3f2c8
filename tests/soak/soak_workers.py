"""`make soak-workers`: stage prepare on Dask, its processes killed at 50 drawn moments in mid-work; each time the same bytes, and every row once.

Of ten kills eight hit a worker that computes, one the scheduler, one the whole run, which is then started again. SOAK_KILLS is how many
have to land (50), SOAK_SEED the first seed (0); a trial is one data set with five moments. Each adds a line to SOAK_LOG
(soak-workers.jsonl), and what is there already for the same code is not tried again: stopped, it goes on. What failed keeps its folder.
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

from prefect_server import prefect_server
from worker_kills import Rows, Trial, drawn, tried, undisturbed

KILLS_EACH = 5
FILES, ROWS, SHARD_ROWS = 24, 20_000, 4_000


def main() -> int:
    """Try seeds until so many kills have landed; 0 where every trial held."""
    wanted_kills, seed = int(os.environ.get("SOAK_KILLS", "50")), int(os.environ.get("SOAK_SEED", "0"))
    log = Path(os.environ.get("SOAK_LOG", "soak-workers.jsonl"))
    folder = Path(tempfile.mkdtemp(prefix="soak-workers-"))
    rows = Rows(folder / "rows", FILES, ROWS, SHARD_ROWS)
    rows.write()
    trials: list[Trial] = []
    with prefect_server(folder / "prefect") as api:
        settings = {"PREFECT_API_URL": api, "PREFECT_HOME": str(folder / "prefect-of-runs")}
        model = undisturbed(folder / "undisturbed", rows, settings)
        wanted = hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16]
        say(f"soak-workers: {rows.shards} shards of {SHARD_ROWS} rows, digests {wanted}, log {log}, folder {folder}")
        done = {trial.seed: trial for trial in known(log) if trial.wanted == wanted}
        while sum(len(trial.kills) for trial in trials) < wanted_kills:
            trial = done.get(seed) or _one(seed, folder / f"trial-{seed}", rows, settings, model, log, wanted)
            trials.append(trial)
            say(f"soak-workers: seed {seed}: {shown(trial)}")
            seed += 1
    code = summary(trials)
    if code == 0:
        shutil.rmtree(folder)
    return code


def _one(
    seed: int, home: Path, rows: Rows, settings: dict[str, str], model: dict[str, str], log: Path, wanted: str
) -> Trial:
    trial = tried(seed, drawn(seed, KILLS_EACH, rows.shards), home, rows, settings, model)
    trial.wanted = wanted
    with log.open("a") as file:
        file.write(trial.line() + "\n")
    if not trial.faults:
        shutil.rmtree(home)
    return trial


def known(log: Path) -> list[Trial]:
    """What the log holds."""
    return [Trial(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def shown(trial: Trial) -> str:
    """A trial on one line, and what failed below it."""
    kills = "; ".join(f"{kill['whom']} in {kill['stage']} {kill['done']}/{kill['total']}" for kill in trial.kills)
    head = f"{'held' if not trial.faults else 'FAILED'}, {trial.seconds} s, {trial.starts} starts, {trial.missed} missed: {kills}"
    return "\n    ".join([head, *trial.faults])


def summary(trials: list[Trial]) -> int:
    """Say what came of all; 0 where every one held."""
    landed = Counter(f"{kill['whom']} in {kill['stage']}" for trial in trials for kill in trial.kills)
    failed = [trial.seed for trial in trials if trial.faults]
    say(
        f"\nsoak-workers: {len(trials)} trials, {landed.total()} kills in mid-work, {len(trials) - len(failed)} trials held"
    )
    say("\n".join(f"  {count:4} {kind}" for kind, count in landed.most_common()))
    say(f"soak-workers: failed seeds: {failed or 'none'}")
    return 1 if failed else 0


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
