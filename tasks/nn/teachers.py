"""The trained model as a candidate to start from and a teacher to learn from; passes see no difference between families."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from tasks.graphs.canonical import INPUT
from tasks.nn.candidates import Candidate
from tasks.sections import TrainSection

Teacher = Callable[[np.ndarray], np.ndarray]
LEAST_PROBABILITY = 1e-6


def open_network(folder: Path, section: TrainSection) -> tuple[Candidate, Teacher]:
    """A model that torch trained; it teaches log-probabilities, standardised values, or logits of the next token."""
    import torch

    from tasks.nn.descriptions import load_model
    from tasks.nn.devices import settle

    place = settle(section)
    description, weights = (
        json.loads((folder / "model.json").read_bytes()),
        (folder / "weights.safetensors").read_bytes(),
    )
    teacher = load_model(description, weights).to(place.device).eval()
    classifies = description["task"] == "classification"

    def teach(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            outputs_BK = teacher(torch.from_numpy(np.array(x)).to(place.device)).float()
        return (outputs_BK.log_softmax(1) if classifies else outputs_BK).cpu().numpy()

    return Candidate(description, load_model(description, weights)), teach


def open_graph(folder: Path) -> tuple[Candidate, Teacher]:
    """A model that is an ONNX graph from its training on; it teaches logarithms of its probabilities, or standardised values."""
    description, graph = json.loads((folder / "model.json").read_bytes()), onnx.load(folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    classifies = description["task"] == "classification"

    def teach(x: np.ndarray) -> np.ndarray:
        outputs_BK = np.asarray(session.run(None, {INPUT: np.ascontiguousarray(x)})[0])
        return np.log(np.maximum(outputs_BK, LEAST_PROBABILITY)) if classifies else outputs_BK

    return Candidate(description, graph=graph), teach
