"""An environment for each peer that the service is held to, apart from the project's: python tests/conformance/environments.py [PEER …]

They lie in the folder that CONFORMANCE names, else in the user's cache; one that is there already is left as it is.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(os.environ.get("CONFORMANCE") or Path.home() / ".cache" / "millrace-conformance")
PACKAGES = {
    "triton": ("tritonclient[http]", "pytest"),
    "openai": ("openai", "pytest"),
    "tensorflow": ("requests", "pytest"),
    "schemathesis": ("schemathesis",),
    "atheris": ("atheris",),
}


def python_of(peer: str) -> Path:
    """The interpreter with the peer's packages; there is none before `make`."""
    return FOLDER / peer / "bin" / "python"


def make(peer: str) -> None:
    """Set up a peer's environment; the last act marks it as whole."""
    folder = FOLDER / peer
    if (folder / "whole").exists():
        return
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([python_of(peer), "-m", "pip", "install", "--quiet", *PACKAGES[peer]], check=True)
    (folder / "whole").touch()


if __name__ == "__main__":
    for peer in sys.argv[1:] or PACKAGES:
        make(peer)
