"""The end of a run by hand: soon, and in words, also where Prefect's server is gone."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from commands import environment

from flows import by_hand

STUCK = """
import atexit, time
from flows import by_hand
by_hand.LEAVE_SECONDS = 0.2
atexit.register(time.sleep, 600)
by_hand.leave(7)
"""


def test_it_ends_soon_whatever_its_libraries_still_have_to_tell(tmp_path: Path):
    ended = subprocess.run([sys.executable, "-c", STUCK], env=environment(tmp_path), timeout=60, check=False)
    assert ended.returncode == 7


def test_a_server_that_is_gone_is_told_as_such(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def gone(*_: object) -> None:
        raise httpx.ConnectError("[Errno 111] Connection refused")

    monkeypatch.setattr(by_hand, "prepare_environment", lambda debug: gone())
    assert by_hand.main({"config": {}, "json": False, "debug": False, "force": False}) == 1
    assert "Prefect's server does not answer any more" in capsys.readouterr().err
