"""A run's end: its summary (what `--json` prints), its report, and its manifest on the object store, which is the record."""

import json
import platform
import shlex
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flows.artifacts import show_report
from flows.prepare_data import Prepared
from flows.running import Run
from infra.machine import processor
from storage.blobs import put_blob, read_blob
from storage.manifests import read_manifest
from storage.objects import open_store
from storage.records import is_whole
from storage.refs import ModelRef
from storage.registry import open_registry
from storage.root import data_root, default_storage
from storage.runs import put_run
from storage.surroundings import told
from tasks.frames.quarantine import read_quarantine
from tasks.judgement import Judgement
from tasks.recipes import UNCOMPRESSED
from tasks.report.page import draw, render
from tasks.report.serving import request
from tasks.results import read_latency, read_meta, read_scores

QUARANTINE_SHOWN = 20
PROMPT_CHARACTERS = 60


def record_run(run: Run, prepared: Prepared, model: ModelRef, judgement: Judgement) -> dict[str, Any]:
    """Write report and run manifest; the summary."""
    report_path = data_root() / "reports" / f"{run.run_id}.html"
    example = serving_example(run.storage, run.config.name, run.config.release.alias, run.run_id)
    summary = {
        "run_id": run.run_id,
        "pipeline": run.config.name,
        "steps": [{name: value for name, value in asdict(entry).items() if name != "output"} for entry in run.steps],
        "data": _data(prepared),
        "metrics": read_scores(judgement.scores)["test"]["metrics"],
        **({"compressors": compressors} if (compressors := read_meta(prepared.features).get("compressors")) else {}),
        "compression": _compression(judgement),
        "verdict": {"decision": judgement.verdict.decision, "reasons": list(judgement.verdict.reasons)},
        "release": _release(run, judgement),
        "report": str(report_path),
    }
    store = open_store(run.storage)
    record = {"config": run.settings(), "started": run.started, "steps": [asdict(entry) for entry in run.steps]}
    put_run(store, run.run_id, {**record, "summary": summary, "finished": time.time()})  # before what is only shown
    view = _view(run, summary, example, prepared, model, judgement)
    figures = draw(view)
    html = render(view, figures).encode()
    report_path.parent.mkdir(parents=True, exist_ok=True)
    report_path.write_bytes(html)
    blob = put_blob(store, html, ".html")
    put_run(store, run.run_id, {**record, "summary": summary, "finished": time.time(), "report": asdict(blob)})
    show_report(view, figures)
    return summary


def _data(prepared: Prepared) -> dict[str, Any]:
    meta = read_meta(prepared.dataset)
    counts = {name: meta[name] for name in ("rows_in", "rows_out", "rows_quarantined")}
    return {"digest": prepared.dataset.digest, **counts}


def _compression(judgement: Judgement) -> dict[str, Any]:
    before, after = _model_bytes(judgement, UNCOMPRESSED.name), _model_bytes(judgement, judgement.choice.name)
    ratios = _ratios(judgement, judgement.choice.name)
    return {
        "recipe": judgement.choice.name,
        "model_bytes_before": before,
        "model_bytes_after": after,
        "size_ratio": round(before / after, 3),
        "latency_ratio_b1": ratios["b1"],
        "latency_ratio_b32": ratios["b32"],
    }


def _release(run: Run, judgement: Judgement) -> dict[str, Any]:
    alias = run.config.release.alias
    serving = open_registry(run.storage).alias(run.config.name, alias)
    released = serving if serving and serving.artifact == judgement.artifact.digest else None
    return {
        "model": run.config.name,
        "version": released.number if released else None,
        "alias": alias if released else None,
        "digest": judgement.artifact.digest,
    }


def _view(
    run: Run,
    summary: dict[str, Any],
    example: dict[str, Any],
    prepared: Prepared,
    model: ModelRef,
    judgement: Judgement,
) -> dict[str, Any]:
    """Everything that the report shows."""
    store = open_store(run.storage)
    history = json.loads(read_blob(store, read_manifest(store, model.digest).files["history.json"]))
    scores = read_scores(judgement.scores)
    return {
        "summary": summary,
        "config": run.settings(),
        "dataset": read_meta(prepared.dataset),
        "quarantine": read_quarantine(store, prepared.dataset.digest, QUARANTINE_SHOWN),
        "history": history,
        "confusion": scores["test"].get("confusion"),
        "candidates": [_candidate(judgement, name) for name in judgement.everyone],
        "lineage": [
            {"step": e.name, "key": e.key, "output": e.output, "state": e.state, "seconds": e.seconds}
            for e in run.steps
        ],
        "serve": example,
        "started": datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{processor()}, Python {platform.python_version()}",
    }


def _candidate(judgement: Judgement, name: str) -> dict[str, Any]:
    metrics = read_scores(judgement.all_scores[name])["test"]["metrics"][judgement.metric]
    ratios = _ratios(judgement, name)
    return {
        "name": name,
        "bytes": _model_bytes(judgement, name),
        "latency_ratio_b1": ratios["b1"],
        "latency_ratio_b32": ratios["b32"],
        "metric": judgement.metric,
        **{key: metrics[key] for key in ("value", "low", "high")},
        "chosen": name == judgement.choice.name,
        "why": judgement.choice.why.get(name, ""),
    }


def _model_bytes(judgement: Judgement, name: str) -> int:
    artifact = judgement.everyone[name]
    return read_manifest(open_store(artifact.uri), artifact.digest).files["model.onnx"].size


def _ratios(judgement: Judgement, name: str) -> dict[str, float]:
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
    if serving and is_whole(store, serving.release):
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
