"""Parity: does an artifact give the golden answers in a fresh process that has only what serves?"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from infra.launcher import launch
from storage.manifests import Manifest
from storage.objects import ObjectStore
from storage.root import scratch_folder
from tasks.stored import lay_out


def prove_parity(store: ObjectStore, manifest: Manifest, golden: Mapping[str, Any], tolerance: float) -> dict[str, Any]:
    """`{"rows", "batches", "max_difference"}` of the golden items in batches of 1, 17 and 32; ProcessFailed names the first that differs."""
    lines: list[dict[str, Any]] = []
    with scratch_folder("parity") as folder:
        job = {"artifact": str(lay_out(store, manifest, folder / "artifact")), "golden": golden, "tolerance": tolerance}
        (folder / "job.json").write_text(json.dumps(job))
        argv = [sys.executable, "-m", "tasks.inference.parity", str(folder / "job.json")]
        launch(argv, on_line=lines.append, log=folder / "parity.log")
    return lines[-1]
