"""`python -m flows.by_hand`: one pipeline run in this process, for the command: told on standard input, shown as it goes.

Standard input is one JSON object: `{"config": …, "json": whether the summary is printed as JSON, "debug": …, "force": …}`.
"""

import json
import os
import sys
import threading
from typing import Any, NoReturn

from flows.at_home import CONSOLE, is_quiet
from flows.ending import show_summary, verdict_code
from flows.failing import failed
from flows.local_prefect import use_server
from flows.settings import PipelineConfig
from flows.steps import STEPS
from storage.fingerprints import reach
from storage.objects import open_store
from storage.registry import open_registry
from storage.root import default_storage, keep_inside
from storage.surroundings import surrounded
from tasks.sections import StorageSection

LEAVE_SECONDS = 20.0


def main(order: dict[str, Any]) -> int:
    """Run the configured pipeline; the exit code by its verdict, or by how it failed."""
    try:
        prepare_environment(debug=order["debug"])
        use_server()
        with surrounded(StorageSection.model_validate(order["config"]["storage"]).variables()):
            _look_ahead(order["config"])
            summary = _run(order["config"], order["force"])
            show_summary(summary, PipelineConfig.model_validate(order["config"]), order["json"])
    except Exception as error:  # noqa: BLE001  what nobody foresaw: still one line; --debug shows the rest
        return failed(error, order["debug"], "run", _told(error))
    return verdict_code(summary)


def _told(error: Exception) -> str:
    if type(error).__module__.partition(".")[0] in ("httpx", "httpcore"):
        return f"Prefect's server does not answer any more ({error}); what was finished is kept, run again"
    return ""


def leave(code: int) -> NoReturn:
    """End with this exit code, and soon: what Prefect has still to tell a server that is gone it would try to tell for minutes."""
    last = threading.Timer(LEAVE_SECONDS, os._exit, (code,))
    last.daemon = True
    last.start()
    sys.exit(code)


def prepare_environment(*, debug: bool) -> None:
    """Keep everything in the data root, all temporary files included, and let Prefect speak where it was asked to."""
    keep_inside()
    # Prefect's copies of refs count for this one run: our step records are what lasts
    os.environ.setdefault("PREFECT_LOCAL_STORAGE_PATH", os.path.join(os.environ["TMPDIR"], "results"))
    if debug and is_quiet():
        os.environ[CONSOLE] = "INFO"


def _look_ahead(config: dict[str, Any]) -> None:
    """Say what is wrong with the store or the model's log before anything starts; read the code that is about to run."""
    storage = open_store(config["storage"]["url"] or default_storage()).url
    open_registry(storage).entries(config["name"])
    for step in STEPS:
        reach(step.function)


def _run(config: dict[str, Any], force: bool) -> dict[str, Any]:
    from flows.display import Display

    with Display(sys.stderr):
        from flows.pipeline import pipeline

        return dict(pipeline(config=PipelineConfig.model_validate(config), force=force).summary)  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    try:
        leave(main(json.load(sys.stdin)))
    except KeyboardInterrupt:
        leave(130)
