"""Stage evaluate: an artifact's own scores (cached), its latency (a side record), and the decisions made afresh each run."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from prefect.logging import get_run_logger

from storage.manifests import fetch_files, put_files, read_manifest
from storage.objects import ObjectStore, open_store
from storage.refs import ArtifactRef, FeaturesRef, LatencyRef, ScoresRef
from storage.root import scratch_folder
from tasks.policies import step
from tasks.progress import reporter
from tasks.results import SCORED_SPLITS
from tasks.stored import fetch_arrays


@step("score")
def score(
    artifact: ArtifactRef, features: FeaturesRef, confidence: float, resamples: int, seed: int, storage: str
) -> ScoresRef:
    """Outputs and metrics of what ships, on the validation and test rows."""
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
    from tasks.inference.latency import measure as measure_latency

    store, report = open_store(storage), reporter("measure", get_run_logger())
    arrays = fetch_arrays(store, features.digest, ["validation"])
    models = {name: _onnx(store, artifact) for name, artifact in artifacts.items()}
    report({"event": "start", "candidates": len(models)})
    ratios = measure_latency(models, _onnx(store, baseline), np.load(arrays["validation/x.npy"], mmap_mode="r"))
    content = json.dumps(ratios, sort_keys=True).encode()
    return LatencyRef(storage, put_files(store, "latency", {"latency.json": content}, {"processor": processor}))


def _onnx(store: ObjectStore, artifact: ArtifactRef) -> Any:
    return fetch_files(store, read_manifest(store, artifact.digest), ["model.onnx"])["model.onnx"]
