"""Run manifests: `runs/<run_id>.json`, what one run did, for people and programs. They are the record; nothing is computed from them."""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from storage.errors import ConfigError, CorruptArtifact, NotFound, SchemaError
from storage.manifests import canonical_json
from storage.objects import ObjectStore

_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")


def new_run_id(now: datetime | None = None) -> str:
    """A new id like `20260131-235959-0a1b2c3d` (UTC); ids sort by time."""
    moment = now or datetime.now(UTC)
    return f"{moment.astimezone(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"


def put_run(store: ObjectStore, run_id: str, run: Mapping[str, Any]) -> None:
    """Store what the run did, as plain JSON; a later call for the same run replaces it."""
    try:
        content = canonical_json({**run, "run_id": run_id})
    except (TypeError, ValueError) as error:
        raise SchemaError(f"run {run_id}: found {error}; wanted plain JSON values without NaN or infinity") from error
    store.put(_key(run_id), content)


def read_run(store: ObjectStore, run_id: str) -> dict[str, Any]:
    """What `put_run` stored; `NotFound`, `CorruptArtifact`."""
    try:
        run = json.loads(store.get(_key(run_id)))
        if not isinstance(run, dict) or run.get("run_id") != run_id:
            raise ValueError("found something else than this run")
        return run
    except NotFound as error:
        raise NotFound(f"run {run_id} is not in store {store.url}; it has {len(list_runs(store))} runs") from error
    except ValueError as error:
        raise CorruptArtifact(
            f"run {run_id} in store {store.url}: {error}, expected its manifest as JSON; run again"
        ) from error


def list_runs(store: ObjectStore) -> list[str]:
    """The ids of all runs, the latest first."""
    names = (key.removeprefix("runs/").removesuffix(".json") for key, _ in store.list("runs/"))
    return sorted((name for name in names if _RUN_ID.fullmatch(name)), reverse=True)


def _key(run_id: str) -> str:
    if not _RUN_ID.fullmatch(run_id):
        raise ConfigError(f"run id {run_id!r}: wanted one like 20260131-235959-0a1b2c3d")
    return f"runs/{run_id}.json"
