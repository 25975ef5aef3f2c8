"""What the service answers, over real connections: predictions, and 4xx that name what is wrong."""

import gzip
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import wait_for
from handmade import COLUMNS, ITEMS, TARGETS, Running, iris_store, serving

TOO_LARGE = b'{"input_data": [' + b"1," * 5_000_000 + b"1]}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("requests")
    store, _ = iris_store(folder)
    with serving(store, folder) as running:
        yield running


def post(service: Running, body: bytes, **headers: str) -> tuple[int, str]:
    response = service.client.post("/predict", content=body, headers=headers)
    return response.status_code, response.json().get("error", {}).get("message", "")


def test_items_become_predictions_in_their_order(service: Running) -> None:
    answer = service.client.post("/predict", json={"input_data": ITEMS}).json()
    names = ["setosa", "versicolor", "virginica"]
    right = [names[target] == found for target, found in zip(TARGETS, answer["prediction"], strict=True)]
    assert sum(right) >= 140
    assert (answer["model"], answer["version"]) == ("iris", 1)


def test_an_item_may_be_a_list_in_column_order(service: Running) -> None:
    items = [ITEMS[75], [ITEMS[75][name] for name in COLUMNS]]
    first, second = service.client.post("/predict", json={"input_data": items}).json()["prediction"]
    assert first == second


def test_a_gzip_body_is_read(service: Running) -> None:
    body = gzip.compress(json.dumps({"input_data": ITEMS[:2]}).encode())
    assert post(service, body, **{"content-encoding": "gzip"}) == (200, "")


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b'{"input_data": [[1, 2, 3, NaN]]}', 400, "NaN is not JSON"),
        (b'{"input_data": [[1, 2, 3, -Infinity]]}', 400, "Infinity is not JSON"),
        (b'{"input_data": [[1, 2, 3, 1e999]]}', 422, "out of range"),
        (b'{"input_data": [[1, 2, 3', 400, "truncated"),
        (b"\xff\xfe", 400, "no valid JSON"),
        (b'{"input_data": ["\xff"]}', 400, "no valid JSON"),
        (b"", 400, "no valid JSON"),
        (b"[1, 2, 3, 4]", 422, "expected `object`"),
        (b'{"inputs": []}', 422, "input_data"),
        (b'{"input_data": [[1,2,3,4]], "version": 2}', 422, "`version`"),
        (b'{"input_data": {"0": 1}}', 422, "expected `array`"),
        (b'{"input_data": []}', 422, "empty list"),
        (b'{"input_data": [' + b"0," * 1024 + b"0]}", 422, "1025 items, wanted at most 1024"),
        (b'{"input_data": [[1,2,3,4], [1,2,3]]}', 422, "item 1: found a list of 3 values, wanted 4"),
        (b'{"input_data": [[1,2,3,4], 5]}', 422, "item 1: found int 5"),
        (b'{"input_data": [{"sepal_length": 1}]}', 422, "item 0: column 'sepal_width' is missing"),
        (b'{"input_data": [[1,2,3,"4"]]}', 422, "item 0: column 'petal_width': found str '4', wanted a number"),
        (b'{"input_data": [[1,2,3,null]]}', 422, "item 0: column 'petal_width': found no value"),
        (b'{"input_data": [[1,2,3,4], [1,2,3,1e38]]}', 422, "item 1: the model has no finite answer"),
        (b'{"input_data": ' + b"[" * 900 + b"]" * 900 + b"}", 422, "item 0"),
        (b'{"input_data": ' + b"[" * 100_000, 400, "nested too deep"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_a_bad_body_is_refused_and_the_fault_named(service: Running, body: bytes, status: int, named: str) -> None:
    found, message = post(service, body)
    assert found == status
    assert named in message


def test_a_body_of_10_mb_is_refused(service: Running) -> None:
    assert post(service, TOO_LARGE)[0] == 413


def test_a_chunked_body_of_10_mb_is_refused(service: Running) -> None:
    chunks = (TOO_LARGE[at : at + 65_536] for at in range(0, len(TOO_LARGE), 65_536))
    assert service.client.post("/predict", content=chunks).status_code == 413


def test_a_small_gzip_body_that_grows_to_10_mb_is_refused(service: Running) -> None:
    bomb = gzip.compress(TOO_LARGE)
    assert len(bomb) < 20_000
    assert post(service, bomb, **{"content-encoding": "gzip"})[0] == 413


@pytest.mark.parametrize(
    "body", [gzip.compress(b"{}", mtime=0)[:-4], gzip.compress(b"{}", mtime=0) + b"more", b"no gzip"]
)
def test_broken_gzip_is_refused(service: Running, body: bytes) -> None:
    status, message = post(service, body, **{"content-encoding": "gzip"})
    assert status == 400
    assert "gzip" in message


def test_another_encoding_is_refused(service: Running) -> None:
    assert post(service, b"{}", **{"content-encoding": "br"})[0] == 415


def test_a_wrong_method_and_an_unknown_path_are_told_apart(service: Running) -> None:
    assert service.client.get("/predict").status_code == 405
    assert service.client.post("/nothing", json={}).status_code == 404
    assert service.client.get("/../keys").status_code == 404


def test_the_service_goes_on_after_all_refusals(service: Running) -> None:
    assert post(service, json.dumps({"input_data": ITEMS[:1]}).encode()) == (200, "")
    assert service.client.get("/healthz").json() == {"status": "ok"}
    assert service.client.get("/readyz").json() == {
        "status": "ready",
        "model": "iris",
        "version": 1,
        "models": {"iris": 1},
    }


def test_metrics_count_requests_by_code(service: Running) -> None:
    line = 'http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route=""}'
    before = service.metric(line)
    service.client.get("/nothing")
    assert service.metric(line) == before + 1
    assert service.metric('millrace_errors_total{kind="not_found"}') >= 1
    assert service.metric('millrace_model_version{alias="champion",model="iris"}') == 1
    assert service.metric('millrace_queue_rows{model="iris"}') == 0


def test_the_openapi_example_is_a_request_that_is_answered(service: Running) -> None:
    document = service.client.get("/openapi.json").json()
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert service.client.post("/predict", json=content["example"]).status_code == 200
    assert set(content["schema"]["properties"]["input_data"]["items"]["properties"]) == set(COLUMNS)


def test_a_path_cannot_forge_a_line_of_the_access_log(service: Running) -> None:
    service.client.get("/a%0a%7B%22status%22:200%7D")
    wait_for(lambda: '"/a%0a%7B' in service.log.read_text(), "the line")  # written after the answer
    assert '{"status":200}' not in service.log.read_text().splitlines()


def test_a_stop_lets_the_request_under_way_end(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    body = json.dumps({"input_data": ITEMS[:1]}).encode()
    with serving(store, tmp_path) as running:
        host, port = running.first_line["url"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = (
                f"POST /predict HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the handler waits for the body
            running.process.send_signal(signal.SIGTERM)
            connection.sendall(body)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"prediction":["setosa"]' in answer
        assert running.process.wait(20) == 0
        assert '"path":"/predict","status":200' in running.log.read_text()
