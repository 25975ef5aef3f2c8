"""Commands that read a store make none."""

import socket
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, environment

READING = {
    "models": ["models"],
    "promote": ["promote", "digits", "1"],
    "rollback": ["rollback", "digits"],
    "predict": ["predict", "digits", "--input", "rows.json"],
    "serve": ["serve", "digits", "--no-auth", "--port", "0"],
    "verify": ["verify"],
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "rows.json").write_text("[]")
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder / "root"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", READING)
def test_a_mistyped_store_is_named_and_not_made(command: str, tmp_path: Path):
    typo = tmp_path / "typo"
    ended = run(tmp_path, *READING[command], "--storage", str(typo))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"store {typo}: there is no such folder" in line
    assert "millrace run" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.json"]


def test_the_store_of_a_fresh_folder_is_not_made_either(tmp_path: Path):
    ended = run(tmp_path, "verify")
    assert ended.returncode == 1
    assert f"store {tmp_path / 'root' / 'store'}: there is no such folder" in ended.stderr
    assert not (tmp_path / "root").exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path):
    (tmp_path / "store").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run(tmp_path, "serve", "digits", "--no-auth", "--storage", str(tmp_path / "store"), "--port", port)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"port {port}: [Errno 98] Address already in use" in line
