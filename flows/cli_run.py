"""`millrace run`: start the pipeline by hand, show how far it is, print the summary."""

import argparse
import json
import os
import sys
from typing import Any

from flows.settings import PipelineConfig, load_config, parse_override, resolve
from storage.root import data_root, default_storage


def run_pipeline(arguments: argparse.Namespace) -> int:
    """Run the configured pipeline in this process; the exit code by its verdict."""
    overrides = dict(parse_override(text) for text in arguments.set)
    if arguments.storage:
        overrides["storage.url"] = arguments.storage
    if arguments.cluster:
        overrides["cluster.address"] = arguments.cluster
    config = resolve(arguments.preset, load_config(arguments.config) if arguments.config else None, overrides)
    prepare_environment(console_level="INFO" if arguments.debug else "CRITICAL")
    from flows.display import Display
    from flows.pipeline import pipeline

    with Display(sys.stderr):
        state = pipeline(config=config.model_dump(mode="json"), return_state=True)
    summary: dict[str, Any] = state.result()  # pyright: ignore[reportAssignmentType]
    _show(summary, config, as_json=arguments.json)
    return 0 if summary["verdict"]["decision"] == "promote" else 3


def prepare_environment(console_level: str) -> None:
    """Keep everything in the data root, Prefect's home included, and Prefect offline; the user's settings win.

    Prefect's own log goes to its server in full; on the console it would say again what our progress and messages say.
    """
    root = data_root()
    root.mkdir(parents=True, exist_ok=True)
    os.environ["MILLRACE_ROOT"] = str(root)
    for name, value in {
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": console_level,
        "OMP_NUM_THREADS": "1",
    }.items():
        os.environ.setdefault(name, value)


def _show(summary: dict[str, Any], config: PipelineConfig, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    from flows.summary import serving_example
    from tasks.report.terminal import print_summary

    example = serving_example(config.storage.url or default_storage(), config.name, config.release.alias)
    print_summary(summary, {"serve": example})
