"""Steps run side by side in threads: each gets the fingerprint that it would get alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

ASK = """
import json, sys, threading
from storage.fingerprints import reach

sys.setswitchinterval(1e-6)
first, *entries = sys.argv[1:]
reach(first)
met, found = threading.Barrier(len(entries)), {}

def ask(entry):
    met.wait()
    try:
        found[entry] = [reach(entry).digest for _ in range(2)]
    except Exception as error:
        found[entry] = repr(error)

threads = [threading.Thread(target=ask, args=(entry,)) for entry in entries]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"together": found, "alone": {entry: [reach(entry).digest] * 2 for entry in entries}}))
"""
ENTRIES = [
    "storage.keys:step_key", "tasks.evaluation:score", "tasks.evaluation:measure", "tasks.training:train", "tasks.compression:compress",
    "tasks.release:release", "tasks.preparation:prepare", "storage.refs:Ref",
]  # fmt: skip


@pytest.mark.parametrize("attempt", range(3))
def test_fingerprints_that_are_taken_side_by_side_are_those_taken_alone(attempt: int, tmp_path: Path):
    """Three times, as threads meet by chance."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MILLRACE_ROOT": str(tmp_path)}
    argv = [sys.executable, "-c", ASK, *ENTRIES]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["together"] == told["alone"]
