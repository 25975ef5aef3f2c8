"""A peer: LitServe with batching, by its documentation (https://lightning.ai/docs/litserve/features/batching): `PORT WORKERS`."""

import sys
from typing import Any

import litserve
import numpy as np
from peer_network import open_session, predictions


class Digits(litserve.LitAPI):
    """One image a request, as its batching wants it; up to 64 requests a forward."""

    def setup(self, device: str) -> None:
        self.session = open_session()

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return np.asarray(request["input_data"], np.float32)[0]

    def predict(self, x: np.ndarray) -> list[str]:
        return predictions(self.session, x)

    def encode_response(self, output: str) -> dict[str, Any]:
        return {"prediction": [output]}


if __name__ == "__main__":
    api = Digits(max_batch_size=64, batch_timeout=0.005, api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
