"""The example of a client, against the real service."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from commands import ROOT, wait_for
from handmade import ITEMS, Running, iris_store, serving

from tasks.service.keys import create_key

SCRIPT = ROOT / "deployments" / "clients" / "predict.py"
IDLE_SECONDS = 0.2


@pytest.fixture(scope="module")
def example():
    """The module, as somebody has it who has copied the file."""
    spec = importlib.util.spec_from_file_location("predict_client", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["predict_client"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, str]]]:
    """A service that does not keep idle connections for long, and its keys."""
    folder = tmp_path_factory.mktemp("client")
    store, _ = iris_store(folder)
    path = folder / "keys.json"
    keys = {
        "whole": create_key(path, ["predict:iris", "feedback:iris", "metrics"]),
        "slow": create_key(path, ["predict:iris"], rate=5.0),
    }
    settings = folder / "settings.yaml"
    settings.write_text(f"limits: {{idle_seconds: {IDLE_SECONDS}}}\n")
    with serving(store, folder, "--keys", str(path), "--settings", str(settings), "--workers", "2") as running:
        running.client.headers["authorization"] = f"Bearer {keys['whole']}"
        yield running, keys


def url(running: Running) -> str:
    return running.first_line["url"]


def test_predictions_come_with_a_request_id_that_feedback_names(example, service) -> None:
    running, keys = service
    client = example.Client(url(running), keys["whole"])
    answer = client.predict(ITEMS[:3], subject="somebody")
    assert answer.predictions == ["setosa"] * 3
    assert (answer.model, answer.version) == ("iris", 1)
    client.feedback(answer.request_id, ["setosa", "setosa", "virginica"])
    assert running.metric('millrace_feedback_total{model="iris",outcome="wrong",version="1"}') == 1
    logged = wait_for(lambda: answer.request_id in running.log.read_text(), "the request in the access log")
    assert logged


def test_a_mistake_is_told_at_once_with_the_request_that_made_it(example, service) -> None:
    running, keys = service
    pauses: list[float] = []
    client = example.Client(url(running), keys["whole"], pause=pauses.append)
    with pytest.raises(example.Refused, match=r"item 0: .* \(request [0-9a-f]{32}\)") as refused:
        client.predict([{"sepal_length": "long"}])
    assert refused.value.status == 422
    with pytest.raises(example.Refused, match="401"):
        example.Client(url(running), "wrong.key", pause=pauses.append).predict(ITEMS[:1])
    assert pauses == []


def test_a_key_beyond_its_rate_comes_back_when_it_is_told_to(example, service) -> None:
    running, keys = service
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    client = example.Client(url(running), keys["slow"], pause=pause)
    assert [client.predict(ITEMS[:1]).predictions for _ in range(14)] == [["setosa"]] * 14
    assert pauses[0] >= 1.0  # Retry-After
    assert running.metric('millrace_errors_total{kind="limited"}') >= 1


def test_a_connection_that_was_closed_meanwhile_is_opened_again(example, service) -> None:
    running, keys = service
    pauses: list[float] = []
    client = example.Client(url(running), keys["whole"], pause=pauses.append)
    assert client.predict(ITEMS[:1]).predictions == ["setosa"]
    socket = client._connection.sock
    socket.settimeout(30)
    assert socket.recv(1) == b""  # the service has closed it
    assert client.predict(ITEMS[:1]).predictions == ["setosa"]
    assert len(pauses) == 1


def test_it_gives_up_after_its_attempts(example) -> None:
    pauses: list[float] = []
    with pytest.raises(OSError, match="refused"):
        example.Client("http://127.0.0.1:9", attempts=3, pause=pauses.append).predict(ITEMS[:1])
    assert len(pauses) == 2


def test_it_runs_as_a_script_with_its_key_out_of_the_environment(service) -> None:
    running, keys = service
    command = [sys.executable, "-I", str(SCRIPT), url(running), json.dumps(ITEMS[:2])]
    ended = subprocess.run(command, env={"MILLRACE_KEY": keys["whole"]}, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)["predictions"] == ["setosa", "setosa"]
    ended = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("401: ")
    assert "Traceback" not in ended.stderr
