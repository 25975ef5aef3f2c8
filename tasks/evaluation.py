"""Stage evaluate: an artifact's own scores, its latency (a side record), the choice among candidates, and the verdict."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from storage.manifests import fetch_files, put_files, read_manifest
from storage.objects import ObjectStore, open_store
from storage.refs import ArtifactRef, ChoiceRef, FeaturesRef, LatencyRef, ScoresRef, VerdictRef
from storage.root import scratch_folder
from tasks.policies import step
from tasks.progress import reporter
from tasks.recipes import UNCOMPRESSED
from tasks.results import SCORED_SPLITS, read_latency, read_scores, read_targets, target_scale
from tasks.scoring.decisions import Choice, Verdict
from tasks.sections import EvaluateSection


@step("score")
def score(
    artifact: ArtifactRef, features: FeaturesRef, confidence: float, resamples: int, seed: int, storage: str
) -> ScoresRef:
    """Outputs and metrics of what ships, on the validation and test rows."""
    from tasks.arrays import fetch_arrays
    from tasks.inference.predictor import Predictor
    from tasks.scoring.metrics import score as score_outputs

    store = open_store(storage)
    predictor = Predictor.load(fetch_files(store, read_manifest(store, artifact.digest)))
    arrays, scores = fetch_arrays(store, features.digest, SCORED_SPLITS), {}
    with scratch_folder("score") as folder:
        files: dict[str, Any] = {}
        for split in SCORED_SPLITS:
            targets, outputs = _answers(predictor, arrays, split)
            result = score_outputs(
                predictor.transforms.task,
                predictor.classes,
                targets,
                outputs,
                confidence=confidence,
                resamples=resamples,
                seed=seed,
                target_scale=predictor.transforms.target_scale,
            )
            scores[split] = result.to_json()
            files[f"{split}.npy"] = folder / f"{split}.npy"
            np.save(files[f"{split}.npy"], outputs.astype(np.float32))
        files["scores.json"] = json.dumps(scores, sort_keys=True).encode()
        meta = {"artifact": artifact.digest, "features": features.digest}
        return ScoresRef(storage, put_files(store, "scores", files, meta))


def _answers(predictor: Any, arrays: Mapping[str, Any], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets and outputs of each row; of a language model bytes and words, bits and tokens of each passage."""
    x, y = np.load(arrays[f"{split}/x.npy"], mmap_mode="r"), np.load(arrays[f"{split}/y.npy"], mmap_mode="r")
    if predictor.tokens is None:
        return np.array(y), predictor.outputs(x)
    from tasks.inference.language import row_bits

    rows, sizes = np.load(arrays[f"{split}/rows.npy"]), np.load(arrays[f"{split}/sizes.npy"])
    return sizes, row_bits(predictor.graph, predictor.tokens.vocabulary, x, y, rows, len(sizes))


@step("measure")
def measure(
    artifacts: dict[str, ArtifactRef], baseline: ArtifactRef, features: FeaturesRef, processor: str, storage: str
) -> LatencyRef:
    """Latencies of the artifacts beside the fp32 baseline, interleaved, at batch 1 and 32, on this `processor`."""
    from tasks.arrays import fetch_arrays
    from tasks.inference.latency import measure as measure_latency

    store, report = open_store(storage), reporter("measure")
    arrays = fetch_arrays(store, features.digest, ["validation"])
    models = {name: _onnx(store, artifact) for name, artifact in artifacts.items()}
    report({"event": "start", "candidates": len(models)})
    ratios = measure_latency(models, _onnx(store, baseline), np.load(arrays["validation/x.npy"], mmap_mode="r"))
    content = json.dumps(ratios, sort_keys=True).encode()
    return LatencyRef(storage, put_files(store, "latency", {"latency.json": content}, {"processor": processor}))


def _onnx(store: ObjectStore, artifact: ArtifactRef) -> Any:
    return fetch_files(store, read_manifest(store, artifact.digest), ["model.onnx"])["model.onnx"]


@step("choose")
def choose(
    evaluate: EvaluateSection,
    everyone: dict[str, ArtifactRef],
    scores: dict[str, ScoresRef],
    latency: LatencyRef,
    features: FeaturesRef,
    storage: str,
) -> ChoiceRef:
    """The candidate to judge: of those good enough on validation rows the smallest; latency may veto."""
    from tasks.scoring.choice import choose as choose_candidate

    measured = read_latency(latency)
    candidates = {name: _candidate(name, everyone[name], scores[name], measured.get(name, {})) for name in everyone}
    baseline = candidates.pop(UNCOMPRESSED.name)
    targets = read_targets(features, "validation")
    choice = choose_candidate(evaluate, targets, list(candidates.values()), baseline, target_scale(features))
    return ChoiceRef(storage, _put_decision(storage, "choice", choice))


def _candidate(name: str, artifact: ArtifactRef, scores: ScoresRef, measured: Mapping[str, Any]) -> Any:
    from tasks.scoring.choice import Candidate

    manifest = read_manifest(open_store(artifact.uri), artifact.digest)
    speed = {int(b.removeprefix("b")): (m["ratio"], m["low"], m["high"]) for b, m in measured.items()}
    outputs = read_scores(scores)["validation_outputs"]
    return Candidate(name, outputs, manifest.files["model.onnx"].size, manifest.meta["operations"], speed)


@step("judge")
def judge(
    evaluate: EvaluateSection,
    scores: ScoresRef,
    teacher: ScoresRef,
    features: FeaturesRef,
    champion: dict[str, Any],
    storage: str,
) -> VerdictRef:
    """Whether the chosen candidate may be released, by test rows. `champion`: what the registry says today (`Champion.facts`)."""
    from tasks.scoring.gate import decide

    mine, rival = read_scores(scores), champion["scores"]
    verdict = decide(
        evaluate,
        read_targets(features, "test"),
        mine["test_outputs"],
        read_scores(teacher)["test_outputs"],
        read_scores(rival)["test_outputs"] if rival else None,
        scored=mine["test"]["metrics"][evaluate.metric],
        target_scale=target_scale(features),
        rolled_back=champion["rolled_back"],
        not_comparable=champion["not_comparable"],
    )
    return VerdictRef(storage, _put_decision(storage, "verdict", verdict))


def _put_decision(storage: str, kind: str, decision: Choice | Verdict) -> str:
    content = json.dumps(decision.to_json(), sort_keys=True).encode()
    return put_files(open_store(storage), kind, {f"{kind}.json": content}, {})
