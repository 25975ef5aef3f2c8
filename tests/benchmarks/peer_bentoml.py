"""A peer: BentoML with adaptive batching, by its documentation (https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html)."""

import bentoml
import numpy as np
from peer_network import open_session, predictions


@bentoml.service(workers=1, traffic={"timeout": 30})
class Digits:
    """Images of any number a request; up to 64 of them a forward."""

    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, input_data: np.ndarray) -> list[str]:
        return predictions(self.session, input_data)
