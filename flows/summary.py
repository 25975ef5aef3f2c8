"""A run's end: its summary, which `--json` prints, and its manifest in the store, which is the record."""

import json
import shlex
import time
from collections.abc import Mapping
from typing import Any

from flows.journal import Journal, StepEntry
from storage.blobs import read_blob
from storage.manifests import read_manifest
from storage.objects import open_store
from storage.refs import DatasetRef, FeaturesRef, ModelRef
from storage.registry import open_registry
from storage.root import data_root, default_storage
from storage.surroundings import told
from storage.wholeness import damage
from tasks.judgement import Judgement
from tasks.recipes import UNCOMPRESSED
from tasks.report.serving import request
from tasks.results import read_latency, read_meta, read_metrics

PROMPT_CHARACTERS = 60
SHOWN_OF_A_STEP = ("name", "state", "seconds", "key", "why", "made_by", "cost")


def summarise(journal: Journal, judgement: Judgement) -> dict[str, Any]:
    """What the run came to."""
    dataset = DatasetRef(journal.storage, journal.steps["prepare"].output)
    features = read_meta(FeaturesRef(journal.storage, journal.steps["encode"].output))
    data, model = read_meta(dataset), read_meta(ModelRef(journal.storage, journal.steps["train"].output))
    counts = {name: data[name] for name in ("rows_in", "rows_out", "rows_quarantined", "rows_filtered")}
    changes = list(journal.changes)
    return {
        "run_id": journal.run_id,
        "pipeline": journal.config.name,
        "seconds": round(time.time() - journal.started, 3),
        "steps": [_shown(entry) for entry in journal.steps.values()],
        "data": {"digest": dataset.digest, **counts, **_findings(data), **({"changes": changes} if changes else {})},
        "metrics": read_metrics(judgement.scores)["test"]["metrics"],
        **({"continued": marks} if (marks := model.get("continued")) else {}),
        **({"compressors": compressors} if (compressors := features.get("compressors")) else {}),
        "compression": _compression(judgement),
        "verdict": {"decision": judgement.verdict.decision, "reasons": list(judgement.verdict.reasons)},
        "release": _release(journal, judgement),
        "report": None,
    }


def _findings(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the contract found in rows that were kept all the same: changed, or only told."""
    found = [one for one in data.get("findings", ()) if one["action"] != "quarantine"]
    return {"findings": found} if found else {}


def _shown(entry: StepEntry) -> dict[str, Any]:
    shown = {name: getattr(entry, name) for name in SHOWN_OF_A_STEP}
    return {**shown, "why": list(entry.why), "cost": dict(entry.cost)}  # as JSON has them


def _compression(judgement: Judgement) -> dict[str, Any]:
    before, after = model_bytes(judgement, UNCOMPRESSED.name), model_bytes(judgement, judgement.choice.name)
    ratios = latency_ratios(judgement, judgement.choice.name)
    return {
        "recipe": judgement.choice.name,
        "model_bytes_before": before,
        "model_bytes_after": after,
        "size_ratio": round(before / after, 3),
        "latency_ratio_b1": ratios["b1"],
        "latency_ratio_b32": ratios["b32"],
    }


def _release(journal: Journal, judgement: Judgement) -> dict[str, Any]:
    alias = journal.config.release.alias
    serving = open_registry(journal.storage).alias(journal.config.name, alias)
    released = serving if serving and serving.artifact == judgement.artifact.digest else None
    return {
        "model": journal.config.name,
        "version": released.number if released else None,
        "alias": alias if released else None,
        "digest": judgement.artifact.digest,
    }


def model_bytes(judgement: Judgement, name: str) -> int:
    """The size of a candidate's graph."""
    artifact = judgement.everyone[name]
    return read_manifest(open_store(artifact.uri), artifact.digest).files["model.onnx"].size


def latency_ratios(judgement: Judgement, name: str) -> dict[str, float]:
    """How many times as fast as fp32 a candidate is, at batch 1 and 32."""
    if name == UNCOMPRESSED.name:
        return {"b1": 1.0, "b32": 1.0}
    measured = read_latency(judgement.latency)[name]
    return {batch: round(measured[batch]["ratio"], 3) for batch in ("b1", "b32")}


def serving_example(storage: str, name: str, alias: str, run_id: str) -> dict[str, Any]:
    """How to call the model that serves now: its command, an item that it was released with (of a language model, a prompt), and a file
    with that request."""
    store = open_store(storage)
    serving = open_registry(store.url).alias(name, alias)
    item, prompt = None, ""
    if serving and not damage(store, serving.release, 0):
        files = read_manifest(store, serving.release).files
        item = json.loads(read_blob(store, files["golden.json"]))["items"][0]
        fitted = json.loads(read_blob(store, files["transforms/transforms.json"]))
        if fitted["task"] == "language_model":
            prompt = fitted["example"].strip().partition("\n")[0][:PROMPT_CHARACTERS]
    command = _serve_command(store.url, name, alias)
    example: dict[str, Any] = {"model": name, "command": command, "item": item, "prompt": prompt}
    if item is not None:
        file = data_root() / "reports" / f"{run_id}.request.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(request(item), encoding="utf-8")
        example["request_file"] = str(file)
    return example


def _serve_command(url: str, name: str, alias: str) -> str:
    """The command that serves this model from this store, as short as it can be, with what it must be told of the store."""
    settings = [f"{name}={shlex.quote(value)}" for name, value in told().items()]
    options = [] if url == default_storage() else ["--storage", url]
    options += [] if alias == "champion" else ["--alias", alias]
    return " ".join([*settings, shlex.join(["millrace", "serve", name, *options, "--no-auth"])])
