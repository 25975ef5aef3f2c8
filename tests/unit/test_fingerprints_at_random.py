"""Random packages and random changes: where the result differs the fingerprint does; where it cannot, the fingerprint does not."""

import random
import sys
from pathlib import Path

import pytest
from programs import Program, decorate, mutate

from storage.fingerprints import reach

MUTATIONS = 30


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package lies: nothing of it is compiled to disk, as times say nothing of files written in one tick."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("seed", range(8))
def test_a_random_change_that_changes_the_result_changes_the_fingerprint(folder: Path, seed: int):
    name = f"random_{seed}"
    (folder / name).mkdir()
    program, choice = Program(seed, name), random.Random(seed)
    program.write(folder)
    result, digest = program.result(), reach(f"{name}.main:run", packages=(name,)).digest
    assert is_number(result)
    seen = 0
    for number in range(MUTATIONS):
        files, told = dict(program.files), [decorate(program, choice) for _ in range(2)]
        program.write(folder)
        assert reach(f"{name}.main:run", packages=(name,)).digest == digest, (seed, number, told)
        told = [mutate(program, choice) for _ in range(choice.choice((1, 1, 2)))]
        program.write(folder)
        other = program.result()
        if other != result and is_number(
            other
        ):  # what no longer loads has no result that could be taken for the old one
            seen += 1
            assert reach(f"{name}.main:run", packages=(name,)).digest != digest, (seed, number, told)
        program.files = files
    assert seen > 0


def is_number(result: str) -> bool:
    return result.lstrip("-").isdigit()
