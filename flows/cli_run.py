"""`millrace run` and `plan`: check the configuration, or guess one from a file; then look what is there, and run what is not.

A run that finds everything ends here. Any other is a program of its own on this terminal.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from flows.ending import show_summary, verdict_code
from flows.presets import PRESETS
from flows.settings import PipelineConfig, load_config, parse_override, resolve
from infra.foreground import carry_out
from storage.errors import ConfigError
from storage.root import keep_inside
from storage.surroundings import surrounded


def run(arguments: argparse.Namespace) -> int:
    """The exit code of the run. A mistake in the configuration ends before anything heavy is loaded."""
    config = _config(arguments, _overrides(arguments))
    if not arguments.force and (found := _found(config)):
        show_summary(found, config, arguments.json)
        return verdict_code(found)
    order = {"config": config.model_dump(mode="json"), **{n: getattr(arguments, n) for n in ("json", "debug", "force")}}
    return carry_out("flows.by_hand", json.dumps(order).encode(), "the run")


def plan(arguments: argparse.Namespace) -> int:
    """Show what a run would do."""
    from flows.planning import plan as look
    from flows.wording import plan_text

    config = _config(arguments, _overrides(arguments))
    keep_inside()
    with surrounded(config.storage.variables()):
        looked = look(config)
    if arguments.json:
        sys.stdout.write(json.dumps(looked.to_json()) + "\n")
    else:
        sys.stdout.write(plan_text(looked))
    return 0


def _found(config: PipelineConfig) -> dict[str, Any] | None:
    from flows.cached_run import found_whole

    keep_inside()
    return found_whole(config)


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    overrides = dict(parse_override(text) for text in arguments.set)
    if arguments.storage:
        overrides["storage.url"] = arguments.storage
    if arguments.verify:
        overrides["storage.verify_share"] = 1.0
    if getattr(arguments, "cluster", None):
        overrides["cluster.address"] = arguments.cluster
    return overrides


def _config(arguments: argparse.Namespace, overrides: Mapping[str, Any]) -> PipelineConfig:
    """A preset's by its exact name; else that of a file where something is there or looks like one; else the mistake is named."""
    what = arguments.what
    if what and what not in PRESETS and means_a_file(what):
        return _own_config(arguments, overrides)
    for option in ("target", "text", "name"):
        if getattr(arguments, option):
            raise ConfigError(
                f"--{option}: found {what or 'no file'}, wanted a file, folder or URL before it: millrace run FILE --target COLUMN"
            )
    return resolve(what, load_config(arguments.config) if arguments.config else None, overrides)


def means_a_file(given: str) -> bool:
    """Whether something is there, or it looks like a path, a glob or a URL."""
    return os.path.exists(given) or bool(re.search(r"[/\\*]|\.[A-Za-z0-9]+$", given))


def _own_config(arguments: argparse.Namespace, overrides: Mapping[str, Any]) -> PipelineConfig:
    """Guessed from the data; what was guessed is shown, and kept as YAML."""
    from flows.own_data import infer, keep

    if arguments.config:
        raise ConfigError(f"--config: found {arguments.what} beside it, wanted one of the two")
    keep_inside()
    own = infer(arguments.what, arguments.target, arguments.text, arguments.name, overrides)
    path = keep(own)
    sys.stderr.write(f"{own.told}\n  config    {path}  [change it, then: millrace run --config {path}]\n\n")
    return own.config
