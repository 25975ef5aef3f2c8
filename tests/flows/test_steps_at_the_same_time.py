"""The same steps from several processes at once: each is computed and committed once, in one data root and in two that share a store."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, environment
from racing import start_together

from storage.objects import open_store
from storage.records import attempts

STEPS, PROCESSES = 10, 3
RACER = """
import sys, time
from pathlib import Path
from storage.manifests import put_files
from storage.objects import open_store
from storage.refs import ModelRef
from tasks.caching import StepCache

store, done = sys.argv[1], Path(sys.argv[2])
cache = StepCache("small", "tasks.splits:epoch_order")

def work(number, storage):
    with done.open("a") as file:
        file.write(f"{number}\\n")
    time.sleep(0.1)
    return ModelRef(storage, put_files(open_store(storage), "model", {"answer.txt": b"%d" % number}, {}))

inputs = [{"number": number, "storage": store} for number in range(int(sys.argv[3]))]
keys = [cache.parts(given).key for given in inputs]
print("ready", flush=True)
sys.stdin.readline()
refs = [cache.result(work, given, lambda: None) for given in inputs]
print(*keys, *(ref.digest for ref in refs))
"""


@pytest.mark.parametrize("roots", [1, PROCESSES], ids=["one data root", "a data root each"])
def test_each_step_is_computed_once_and_all_agree(roots: int, tmp_path: Path):
    store, done = tmp_path / "store", tmp_path / "done"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(store), str(done), str(STEPS)],
            cwd=ROOT,
            env=environment(tmp_path / f"root-{number % roots}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    start_together(racers)
    told = [racer.communicate(timeout=120)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * PROCESSES
    assert all(one == told[0] for one in told)
    assert len(told[0]) == 2 * STEPS
    assert done.read_text().split() == [str(number) for number in range(STEPS)]
    assert [attempts(open_store(str(store)), key) for key in told[0][:STEPS]] == [[1]] * STEPS
