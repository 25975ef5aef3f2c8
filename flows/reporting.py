"""The report of a run, drawn from its manifest and what its steps stored: at the end of the run, or whenever somebody asks for it."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.journal import FINISHED, Journal, StepEntry
from flows.settings import PipelineConfig
from flows.summary import latency_ratios, model_bytes, serving_example, summarise
from infra.machine import processor
from storage.blobs import put_blob, read_blob
from storage.errors import NotFound
from storage.manifests import read_manifest
from storage.objects import open_store
from storage.refs import ArtifactRef, ChoiceRef, LatencyRef, ScoresRef
from storage.root import data_root
from tasks.frames.quarantine import read_quarantine
from tasks.judgement import Judgement
from tasks.report.page import draw, render
from tasks.results import read_choice, read_metrics
from tasks.scoring.decisions import Verdict

QUARANTINE_SHOWN = 20
View = dict[str, Any]
Figures = Mapping[str, str]


def record_run(journal: Journal, judgement: Judgement, show: Callable[[View, Figures], None]) -> dict[str, Any]:
    """Write the run's manifest and report, and `show` the report's view and figures where people look; the summary."""
    journal.summary = summarise(journal, judgement)
    journal.keep(FINISHED)  # before what is only shown
    shown, figures = add_report(journal, judgement)
    journal.keep(FINISHED)
    show(shown, figures)
    return dict(journal.summary)


def drawn_report(storage: str, run: Mapping[str, Any]) -> str:
    """Draw the report of a run afresh, by its manifest; its path. NotFound where it did not come to a verdict."""
    journal, judgement = recalled(storage, run)
    add_report(journal, judgement)
    return (journal.summary or {})["report"]


def add_report(journal: Journal, judgement: Judgement) -> tuple[View, Figures]:
    """Draw the report of a run whose summary is written, into the store, the data root and the journal; its view and figures."""
    path = report_path(journal.run_id)
    journal.summary = {**(journal.summary or {}), "report": str(path)}
    shown = view(journal, judgement)
    figures = draw(shown)
    html = render(shown, figures).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(html)
    journal.report = asdict(put_blob(open_store(journal.storage), html, ".html"))
    return shown, figures


def report_path(run_id: str) -> Path:
    """Where a run's report lies on this machine."""
    return data_root() / "reports" / f"{run_id}.html"


def recalled(storage: str, run: Mapping[str, Any]) -> tuple[Journal, Judgement]:
    """The journal and judgement of a run, by its manifest. NotFound where it did not come to a verdict."""
    steps = {step["name"]: StepEntry(**{**step, "why": tuple(step["why"])}) for step in run["steps"]}
    if not run["summary"]:
        raise NotFound(f"run {run['run_id']}: found no verdict (it {run['status']}), wanted a run that came to its end")
    config = PipelineConfig.model_validate(run["config"])
    config = config.model_copy(update={"storage": config.storage.model_copy(update={"url": storage})})
    journal = Journal(run["flow"], config, run["run_id"], run["started"], steps, run["summary"], run["report"])
    journal.source, journal.environment = run.get("source"), run.get("environment") or {}
    return journal, _judgement(storage, journal)


def _judgement(storage: str, journal: Journal) -> Judgement:
    outputs = {name: entry.output for name, entry in journal.steps.items()}
    everyone = {
        n.removeprefix("compress "): ArtifactRef(storage, d) for n, d in outputs.items() if n.startswith("compress ")
    }
    scores = {name: ScoresRef(storage, outputs[f"score {name}"]) for name in everyone}
    choice = read_choice(ChoiceRef(storage, outputs["choose"]))
    return Judgement(
        artifact=everyone[choice.name],
        scores=scores[choice.name],
        metric=journal.config.evaluate.metric,
        choice=choice,
        verdict=Verdict.from_json({**(journal.summary or {})["verdict"], "bounds": {}}),
        champion_version=None,
        everyone=everyone,
        all_scores=scores,
        latency=LatencyRef(storage, outputs["measure"]),
    )


def view(journal: Journal, judgement: Judgement) -> View:
    """Everything that the report shows."""
    store, config = open_store(journal.storage), journal.config
    model = read_manifest(store, journal.steps["train"].output)
    scores = read_metrics(judgement.scores)
    dataset = journal.steps["prepare"].output
    return {
        "summary": journal.summary,
        "config": config.model_dump(mode="json"),
        "dataset": dict(read_manifest(store, dataset).meta),
        "quarantine": read_quarantine(store, dataset, QUARANTINE_SHOWN),
        "history": json.loads(read_blob(store, model.files["history.json"])),
        "confusion": scores["test"].get("confusion"),
        "candidates": [_candidate(judgement, name) for name in judgement.everyone],
        "lineage": [_lineage(entry) for entry in journal.steps.values()],
        "serve": serving_example(journal.storage, config.name, config.release.alias, journal.run_id),
        "started": datetime.fromtimestamp(journal.started, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{processor()}, Python {platform.python_version()}",
    }


def _lineage(entry: StepEntry) -> dict[str, Any]:
    shown = ("key", "output", "state", "seconds", "why", "cost")
    return {"step": entry.name, **{name: getattr(entry, name) for name in shown}}


def _candidate(judgement: Judgement, name: str) -> dict[str, Any]:
    metrics = read_metrics(judgement.all_scores[name])["test"]["metrics"][judgement.metric]
    ratios = latency_ratios(judgement, name)
    return {
        "name": name,
        "bytes": model_bytes(judgement, name),
        "latency_ratio_b1": ratios["b1"],
        "latency_ratio_b32": ratios["b32"],
        "metric": judgement.metric,
        **{key: metrics[key] for key in ("value", "low", "high")},
        "chosen": name == judgement.choice.name,
        "why": judgement.choice.why.get(name, ""),
    }
