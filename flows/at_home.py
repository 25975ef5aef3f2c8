"""Imported before Prefect, this keeps Prefect's files in the data root, and Prefect to itself.

The user's own settings win; so does a Prefect that is loaded already, as in a worker.
"""

import contextlib
import os
import sys

from storage.root import data_root

CONSOLE = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
QUIET = (
    "CRITICAL"  # Prefect's log goes to its server in full; on the console it would say again what our own progress says
)


def settle() -> None:
    """Set what Prefect and its libraries read when they are loaded, where the user has not."""
    root = data_root()
    with contextlib.suppress(OSError):  # a run says what is wrong with the folder
        root.mkdir(parents=True, exist_ok=True)  # Prefect makes its own folder, but none above
    for name, value in {
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        CONSOLE: QUIET,
        "OMP_NUM_THREADS": "1",
        "DASK_TEMPORARY_DIRECTORY": str(root / "work" / "dask"),
    }.items():
        os.environ.setdefault(name, value)


def is_quiet() -> bool:
    """Whether Prefect's console is silent, so that progress is for us to show."""
    return os.environ.get(CONSOLE) == QUIET


if "prefect" not in sys.modules:
    settle()
