"""`python -m flows.by_hand`: one pipeline run in this process, for the command: told on standard input, shown as it goes.

Standard input is one JSON object: `{"config": …, "json": whether the summary is printed as JSON, "debug": …}`.
"""

import json
import os
import sys
import traceback
from typing import Any

from flows.local_prefect import api_url
from flows.steps import STEPS
from storage.errors import ConfigError, MillraceError
from storage.fingerprints import fingerprint
from storage.objects import open_store
from storage.registry import open_registry
from storage.root import default_storage, keep_inside

DONE, FAILED, MISUSE, NOT_PROMOTED = 0, 1, 2, 3


def main(order: dict[str, Any]) -> int:
    """Run the configured pipeline; the exit code by its verdict, or by how it failed."""
    try:
        prepare_environment(console_level="INFO" if order["debug"] else "CRITICAL")
        if api := api_url():
            os.environ.setdefault("PREFECT_API_URL", api)  # the run is then seen in the UI, and starts at once
        _look_ahead(order["config"])
        summary = _run(order["config"])
        _show(summary, order["config"], as_json=order["json"])
    except MillraceError as error:
        if order["debug"]:
            traceback.print_exc()
        sys.stderr.write(f"millrace: {error}\n")
        return MISUSE if isinstance(error, ConfigError) else FAILED
    except Exception as error:  # noqa: BLE001  what nobody foresaw: still one line; --debug shows the rest
        if order["debug"]:
            traceback.print_exc()
        sys.stderr.write(
            f"millrace: {type(error).__name__}: {error}; run again with `millrace --debug run …` for the whole story\n"
        )
        return FAILED
    return DONE if summary["verdict"]["decision"] == "promote" else NOT_PROMOTED


def prepare_environment(console_level: str) -> None:
    """Keep everything in the data root, Prefect's home and all temporary files included, and Prefect offline.

    The user's settings win, but for the temporary folder.

    Prefect's own log goes to its server in full; on the console it would say again what our progress and messages say.
    """
    root = keep_inside()
    for name, value in {
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": console_level,
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "OMP_NUM_THREADS": "1",
        "DASK_TEMPORARY_DIRECTORY": str(root / "work" / "dask"),
    }.items():
        os.environ.setdefault(name, value)


def _look_ahead(config: dict[str, Any]) -> None:
    """Say what is wrong with the store or the model's log before anything starts; read the code that is about to run."""
    storage = open_store(config["storage"]["url"] or default_storage()).url
    open_registry(storage).entries(config["name"])
    for step in STEPS:
        fingerprint(step.function.partition(":")[0])


def _run(config: dict[str, Any]) -> dict[str, Any]:
    from flows.display import Display

    with Display(sys.stderr):
        from flows.pipeline import pipeline

        return pipeline(config=config, return_state=True).result()  # pyright: ignore[reportReturnType]


def _show(summary: dict[str, Any], config: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    from flows.summary import serving_example
    from tasks.report.terminal import print_summary

    storage = config["storage"]["url"] or default_storage()
    print_summary(
        summary, {"serve": serving_example(storage, config["name"], config["release"]["alias"], summary["run_id"])}
    )


if __name__ == "__main__":
    try:
        sys.exit(main(json.load(sys.stdin)))
    except KeyboardInterrupt:
        sys.exit(130)
