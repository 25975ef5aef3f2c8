"""A client of the prediction service that needs nothing but Python: copy it, or run it.

export MILLRACE_KEY=…
python predict.py https://models.example.com '[{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]'
"""

import http.client
import json
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

AGAIN = (429, 503)  # the service has too much to do, or this key is beyond its rate: both say when to come back


class Refused(Exception):
    """The service has answered with an error; `request_id` finds it in the service's log."""

    def __init__(self, status: int, message: str, request_id: str) -> None:
        super().__init__(f"{status}: {message} (request {request_id})")
        self.status, self.request_id = status, request_id


@dataclass(frozen=True)
class Answer:
    """One prediction for each item. Keep `request_id` where the right answers become known later: `Client.feedback` wants it."""

    predictions: list[Any]
    model: str
    version: int
    request_id: str


class Client:
    """One connection, kept open; for one thread. Asks `attempts` times where the service has too much to do or the connection breaks."""

    def __init__(
        self,
        url: str,
        key: str = "",
        attempts: int = 5,
        seconds: float = 10.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        address = urlsplit(url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(address.hostname or "", address.port, timeout=seconds)
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._attempts, self._pause = attempts, pause

    def predict(self, items: Sequence[Any], model: str = "", subject: str = "") -> Answer:
        """Predictions for `items`. `subject`: whom they are about, who then meets the same version as long as a canary lasts."""
        request_id = uuid.uuid4().hex  # the same at each attempt
        headers = {"x-request-id": request_id} | ({"x-subject": subject} if subject else {})
        told = self._ask("/predict", {"input_data": list(items), "model": model}, headers)
        return Answer(told["prediction"], told["model"], told["version"], request_id)

    def feedback(self, request_id: str, labels: Sequence[Any]) -> None:
        """The right answers to an earlier request, one for each of its items."""
        self._ask("/feedback", {"request_id": request_id, "labels": list(labels)}, {})

    def _ask(self, path: str, body: Any, headers: dict[str, str]) -> Any:
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                self._connection.request("POST", path, json.dumps(body), self._headers | headers)
                response = self._connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if last:
                    raise
                self._pause(self._seconds(attempt))
                continue
            if response.status < 300:
                return json.loads(content)
            if response.status not in AGAIN or last:
                raise Refused(response.status, _message(content), response.headers.get("x-request-id", ""))
            self._pause(max(self._seconds(attempt), float(response.headers.get("retry-after", 0))))
        raise ValueError(f"attempts: found {self._attempts}, wanted at least 1")

    @staticmethod
    def _seconds(attempt: int) -> float:
        """Twice as long each time, and not all clients at once."""
        return 0.1 * 2**attempt * random.uniform(0.5, 1.0)


def _message(content: bytes) -> str:
    try:
        return json.loads(content)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return content[:200].decode("utf-8", "replace")


def main(url: str, items: str) -> int:
    try:
        answer = Client(url, os.environ.get("MILLRACE_KEY", "")).predict(json.loads(items))
    except (Refused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(answer.__dict__) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 3 else f"{__doc__}")
