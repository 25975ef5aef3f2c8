"""A peer: Flask, as one begins; its development server answers each request in a thread."""

from typing import Any

from flask import Flask, request
from peer_network import open_session, predictions

session = open_session()
app = Flask(__name__)


@app.post("/predict")
def predict() -> dict[str, Any]:
    """The same request and answer as ours, without keys, checks, metrics or capture."""
    return {"prediction": predictions(session, request.get_json()["input_data"])}
