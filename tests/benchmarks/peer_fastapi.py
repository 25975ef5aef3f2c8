"""The peer of bench_serving: a plain FastAPI application with a synchronous handler over ONNX Runtime on one thread."""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

folder = Path(os.environ["PEER_FOLDER"])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(folder / "model.onnx", options)
fitted = json.loads((folder / "transforms/transforms.json").read_text())
mean = np.array([column["mean"] for column in fitted["input"]["columns"]])
std = np.array([column["std"] for column in fitted["input"]["columns"]])
classes = fitted["target"]["classes"]
app = FastAPI()


class Request(BaseModel):
    """The same request as ours."""

    input_data: list[list[float]]


@app.post("/predict")
def predict(request: Request) -> dict[str, list[str]]:
    """The same answer as ours, without keys, limits, metrics or a log."""
    x = ((np.array(request.input_data) - mean) / std).astype(np.float32)
    return {"prediction": [classes[best] for best in np.asarray(session.run(["y"], {"x": x})[0]).argmax(axis=1)]}
