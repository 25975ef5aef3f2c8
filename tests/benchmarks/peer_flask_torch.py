"""A peer: Flask over torch, as a notebook becomes a service: the module in float32, eager, on one thread. PEER_FOLDER holds an artifact's files."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from flask import Flask, request

from tasks.nn.descriptions import load_model
from tasks.transforms.transforms import Transforms

torch.set_num_threads(1)
torch.set_num_interop_threads(1)
folder = Path(os.environ["PEER_FOLDER"])
module = load_model(
    json.loads((folder / "model.json").read_text()), (folder / "weights.safetensors").read_bytes()
).eval()
fitted = {path.name: path.read_bytes() for path in (folder / "transforms").iterdir()}
transforms = Transforms.load(fitted)
app = Flask(__name__)


@app.post("/predict")
def predict() -> dict[str, Any]:
    """The same request and answer as ours, without keys, checks, metrics or capture."""
    columns = {"text": request.get_json()["input_data"]}
    with torch.inference_mode():
        best_B = module(torch.from_numpy(transforms.features(columns))).argmax(1)
    return {"prediction": [transforms.classes[best] for best in best_B.tolist()]}
