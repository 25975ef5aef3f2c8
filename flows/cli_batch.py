"""`millrace predict NAME --batch SOURCE…`: checks the order, and has it carried out by a program of its own on this terminal."""

import argparse
import json
import os
from typing import Any

from pydantic import ValidationError

from flows.aliases import existing_store
from flows.settings import mistakes
from infra.foreground import carry_out
from storage.errors import ConfigError
from storage.surroundings import told
from tasks.sections import BatchSection, ClusterSection

# Columns come and go, part by part: glibc keeps their memory for the next, instead of asking the system for fresh pages each time (a fifth of
# the processor's time); mallopt(3)
ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


def predict(arguments: argparse.Namespace) -> int:
    """The exit code. A mistake in the order ends before anything heavy is loaded."""
    if not arguments.output:
        raise ConfigError("--output: found none, wanted the folder or URL that gets the predictions of --batch")
    values = {
        "sources": arguments.batch,
        "output": arguments.output,
        "keep": [name.strip() for name in arguments.keep.split(",") if name.strip()],
        "probabilities": arguments.probabilities,
        "delimiter": arguments.delimiter,
        "part_rows": arguments.part_rows,
    }
    order: dict[str, Any] = {
        "name": arguments.name,
        "wanted": arguments.version or arguments.alias,
        "batch": _checked(BatchSection, values),
        "cluster": _checked(ClusterSection, {"address": arguments.cluster} if arguments.cluster else {}),
        "storage": existing_store(arguments.storage),
        "settings": told(),
        "json": arguments.json,
        "debug": arguments.debug,
    }
    environment = {**ENVIRONMENT, **os.environ}
    return carry_out("flows.batch_by_hand", json.dumps(order).encode(), "the prediction", environment)


def refuse_options(arguments: argparse.Namespace) -> None:
    """ConfigError where options of --batch are given without it."""
    given = [
        name for name in ("output", "keep", "probabilities", "cluster", "json", "part_rows") if getattr(arguments, name)
    ]
    if given:
        raise ConfigError(
            f"--{given[0].replace('_', '-')}: is an option of --batch, and there is none; see millrace predict --help"
        )


def _checked(section: type[BatchSection] | type[ClusterSection], values: dict[str, Any]) -> dict[str, Any]:
    try:
        return section.model_validate(values).model_dump(mode="json")
    except ValidationError as error:
        raise ConfigError(mistakes(error, values)) from None
