"""The key file is its owner's alone."""

from pathlib import Path

import pytest

from storage.errors import ConfigError
from tasks.service.authority import Authority
from tasks.service.keys import create_key, main, read_keys

OPEN_MODES = [0o640, 0o620, 0o604, 0o602, 0o644, 0o666]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    create_key(file, ["predict:*"])
    return file


def test_a_key_file_is_made_for_its_owner_alone(path: Path):
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(read_keys(path)) == 1


@pytest.mark.parametrize("mode", OPEN_MODES)
def test_a_key_file_that_others_can_use_is_refused(path: Path, mode: int):
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"found mode {mode:04o}, wanted 0600.*chmod 600 {path}"):
        read_keys(path)
    with pytest.raises(ConfigError, match="chmod 600"):
        Authority(path)


@pytest.mark.parametrize("mode", OPEN_MODES)
def test_no_key_is_added_to_a_file_that_others_can_use(path: Path, mode: int, capsys: pytest.CaptureFixture[str]):
    path.chmod(mode)
    before = path.read_bytes()
    assert main(["create", "--file", str(path)]) == 2
    assert "chmod 600" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_key_file_that_its_owner_only_reads_is_taken(path: Path):
    path.chmod(0o400)
    assert len(read_keys(path)) == 1
