"""How a run by hand ends: its summary on standard output, and the exit code by its verdict."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from flows.settings import PipelineConfig
from storage.root import default_storage

PROMOTED, NOT_PROMOTED = 0, 3


def show_summary(summary: Mapping[str, Any], config: PipelineConfig, as_json: bool) -> None:
    """Print the summary, for programs or for people."""
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    from flows.summary import serving_example
    from tasks.report.terminal import print_summary

    storage = config.storage.url or default_storage()
    example = serving_example(storage, config.name, config.release.alias, summary["run_id"])
    print_summary(summary, {"serve": example})


def verdict_code(summary: Mapping[str, Any]) -> int:
    """The exit code: whether the gate promoted."""
    return PROMOTED if summary["verdict"]["decision"] == "promote" else NOT_PROMOTED
