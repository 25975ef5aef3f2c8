"""`millrace run`: check the configuration, then run the pipeline as a program of its own on this terminal."""

import argparse
import json
import signal
import sys

from flows.settings import load_config, parse_override, resolve
from infra.foreground import INTERRUPTED, run_in_foreground
from storage.errors import ProcessLost


def run_pipeline(arguments: argparse.Namespace) -> int:
    """The exit code of the run. A mistake in the configuration ends before anything heavy is loaded."""
    overrides = dict(parse_override(text) for text in arguments.set)
    if arguments.storage:
        overrides["storage.url"] = arguments.storage
    if arguments.cluster:
        overrides["cluster.address"] = arguments.cluster
    config = resolve(arguments.preset, load_config(arguments.config) if arguments.config else None, overrides)
    order = {"config": config.model_dump(mode="json"), "json": arguments.json, "debug": arguments.debug}
    code = run_in_foreground([sys.executable, "-m", "flows.by_hand"], json.dumps(order).encode())
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code < 0:
        raise ProcessLost(
            f"the run was killed by {signal.Signals(-code).name} (out of memory?); what was finished is kept, run again"
        )
    return code
