"""`python -m flows.by_hand`: one pipeline run in this process, for the command: told on standard input, shown as it goes.

Standard input is one JSON object: `{"config": …, "json": whether the summary is printed as JSON, "debug": …, "force": …}`.
"""

import json
import os
import sys
import traceback
import urllib.error
import urllib.request
from typing import Any

from flows.at_home import CONSOLE, is_quiet
from flows.ending import show_summary, verdict_code
from flows.local_prefect import api_url
from flows.settings import PipelineConfig
from flows.steps import STEPS
from storage.errors import ConfigError, MillraceError
from storage.fingerprints import reach
from storage.objects import open_store
from storage.registry import open_registry
from storage.root import default_storage, keep_inside
from storage.surroundings import surrounded
from tasks.sections import StorageSection

FAILED, MISUSE = 1, 2
SERVER_SECONDS = 10.0


def main(order: dict[str, Any]) -> int:
    """Run the configured pipeline; the exit code by its verdict, or by how it failed."""
    try:
        prepare_environment(debug=order["debug"])
        if api := api_url():
            os.environ.setdefault("PREFECT_API_URL", api)  # the run is then seen in the UI, and starts at once
        with surrounded(StorageSection.model_validate(order["config"]["storage"]).variables()):
            _look_ahead(order["config"])
            summary = _run(order["config"], order["force"])
            show_summary(summary, PipelineConfig.model_validate(order["config"]), order["json"])
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
    return verdict_code(summary)


def prepare_environment(*, debug: bool) -> None:
    """Keep everything in the data root, all temporary files included, and let Prefect speak where it was asked to."""
    keep_inside()
    # Prefect's copies of refs count for this one run: our step records are what lasts
    os.environ.setdefault("PREFECT_LOCAL_STORAGE_PATH", os.path.join(os.environ["TMPDIR"], "results"))
    if debug and is_quiet():
        os.environ[CONSOLE] = "INFO"


def _look_ahead(config: dict[str, Any]) -> None:
    """Say what is wrong with the store or the model's log before anything starts; read the code that is about to run."""
    _check_server(os.environ.get("PREFECT_API_URL", ""))
    storage = open_store(config["storage"]["url"] or default_storage()).url
    open_registry(storage).entries(config["name"])
    for step in STEPS:
        reach(step.function)


def _check_server(url: str) -> None:
    """ConfigError where a Prefect server is named that does not answer; empty: Prefect starts one of its own."""
    if not url:
        return
    try:
        urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=SERVER_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is Prefect's to find out
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"PREFECT_API_URL: no Prefect server answers at {url} ({getattr(error, 'reason', error)}); start it (millrace up), or unset "
            "PREFECT_API_URL to run without one"
        ) from error


def _run(config: dict[str, Any], force: bool) -> dict[str, Any]:
    from flows.display import Display

    with Display(sys.stderr):
        from flows.pipeline import pipeline

        return dict(pipeline(config=PipelineConfig.model_validate(config), force=force).summary)  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    try:
        sys.exit(main(json.load(sys.stdin)))
    except KeyboardInterrupt:
        sys.exit(130)
