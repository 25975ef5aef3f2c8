"""What an attacker writes into a request: names that climb, bodies that lie, headers that are two requests, lines for the log."""

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from commands import wait_for
from handmade import ITEMS, Running, iris_store, serving

BODY = json.dumps({"input_data": ITEMS[:1]}).encode()
NAMES = [
    "..", "../iris", "..%2firis", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%252e%252e", "%252e%252e%252f", "..%252firis",
    "..\\iris", "..%5ciris", "iris%00", "iris%00.json", "%00", "%c0%ae%c0%ae", "%c0%ae%c0%ae%c0%af", "%e0%80%ae%e0%80%ae", "%ff",
    "%2fetc%2fpasswd", "/etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "C:%5cWindows", "iris%0d%0aX-Evil:%201", "iris%2f..%2firis", "IRIS",
    "iris%20", "%u002e", "%", "%2", "iris;x", "*", "x" * 65, "x" * 5000, "iris/versions/1/../../../x", "iris/versions/%2e%2e",
    "iris/versions/-1", "iris/versions/1.0", "iris/versions/99999999999999999999", "iris/labels/..", "iris/labels/shadow",
]  # fmt: skip
SHAPES = [
    "GET /v1/models/{}", "GET /v1/models/{}/metadata", "POST /v1/models/{}:predict", "GET /v2/models/{}", "GET /v2/models/{}/config",
    "GET /v2/models/{}/ready", "POST /v2/models/{}/infer",
]  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("attacks")
    store, _ = iris_store(folder)
    settings = folder / "settings.yaml"
    settings.write_text("limits: {body_seconds: 1.0}")  # so long the rest of a refused body is waited for
    with serving(store, folder, "--workers", "1", "--settings", str(settings)) as running:
        yield running


def send(service: Running, request: bytes) -> bytes:
    """All that comes back for these bytes until the service closes."""
    place = urlsplit(service.first_line["url"])
    answer = b""
    with socket.create_connection((place.hostname, place.port), 30) as connection:
        with contextlib.suppress(ConnectionError):  # it need not read to the end what it has refused
            connection.sendall(request)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65_536):
                answer += part
    return answer


def status(answer: bytes) -> int:
    return int(answer[9:12])


def post(headers: str, body: bytes = b"") -> bytes:
    return f"POST /predict HTTP/1.1\r\nHost: here\r\n{headers}\r\n\r\n".encode("latin-1") + body


def assert_it_still_answers(service: Running) -> None:
    assert service.client.post("/predict", content=BODY).json()["prediction"] == ["setosa"]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_name_in_any_encoding_leads_out_of_the_models(service: Running, shape: str) -> None:
    for name in NAMES:
        head = f"{shape.format(name)} HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        answer = send(service, head.encode("latin-1"))
        assert status(answer) in (400, 404, 405, 422), (name, answer)
        assert b"root:" not in answer
        assert b"Evil" not in answer.partition(b"\r\n\r\n")[0]
    assert_it_still_answers(service)


@pytest.mark.parametrize(
    "raw", [b"\xc0\xae\xc0\xae", b"\xff\xfe", "iris\u202e".encode(), b"iris\x00", b"iris\x0b", b"ir is"]
)
def test_bytes_that_no_address_may_hold_are_refused(service: Running, raw: bytes) -> None:
    answer = send(service, b"GET /v1/models/" + raw + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert status(answer) in (400, 404)


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        post(f"Content-Length: {len(BODY)}\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + SMUGGLED),
        post(f"Transfer-Encoding: chunked\r\nContent-Length: {len(BODY)}", b"0\r\n\r\n" + SMUGGLED),
        post(f"Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}", SMUGGLED),
        post("Content-Length: 0, 38", SMUGGLED),
        post("Content-Length: +2", b"{}" + SMUGGLED),
        post("Content-Length: -1", SMUGGLED),
        post("Content-Length: 0x2", b"{}" + SMUGGLED),
        post("Content-Length: 99999999999999999999999", SMUGGLED),
        post("Content-Length : 2", b"{}" + SMUGGLED),
        post("Transfer-Encoding: xchunked", b"0\r\n\r\n" + SMUGGLED),
        post("Transfer-Encoding: chunked, identity", b"0\r\n\r\n" + SMUGGLED),
        post("Transfer-Encoding : chunked", b"0\r\n\r\n" + SMUGGLED),
        post("Transfer-Encoding: chunked", b"-1\r\n\r\n" + SMUGGLED),
        post("Transfer-Encoding: chunked", b"fffffffffffffffff\r\n" + SMUGGLED),
        post("Transfer-Encoding: chunked", b"2\r\n{}0\r\n\r\n" + SMUGGLED),
        post("X: a\r\n Content-Length: 2", b"{}" + SMUGGLED),
        post("X: a\rContent-Length: 2", b"{}" + SMUGGLED),
        post("X: a\x00b", SMUGGLED),
        b"POST /predict HTTP/1.1\nHost: here\nContent-Length: 0\n\n" + SMUGGLED,
        b"POST /predict HTTP/9.9\r\nHost: here\r\n\r\n" + SMUGGLED,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SMUGGLED,
    ],
)
def test_a_request_with_two_readings_is_refused_and_nothing_after_it_is_answered(
    service: Running, request_: bytes
) -> None:
    answer = send(service, request_)
    assert b'"status":"ok"' not in answer
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert_it_still_answers(service)


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (post("Content-Length: 4294967296", b"{"), 413),
        (post("Content-Length: 4194305", b"1" * 1000), 413),
        (post("Transfer-Encoding: chunked", b"100000\r\n" + b"1" * 2**20 + b"\r\n" + 5 * (b"100000\r\n" + b"1" * 2**20 + b"\r\n")), 413),
        (post("Connection: close\r\nContent-Length: 2", b"{[[[[["), 400),
        (post(f"X-Long: {'x' * 20_000}"), 431),
        (post("\r\n".join(f"X-{number}: 1" for number in range(150))), 431),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 431),
        (b"GET /" + b"x" * 200_000, 431),
    ],
)  # fmt: skip
def test_what_is_too_much_is_refused_by_what_it_is(service: Running, request_: bytes, wanted: int) -> None:
    assert status(send(service, request_)) == wanted
    assert_it_still_answers(service)


def test_a_gzip_bomb_and_deep_json_are_refused_and_cost_little(service: Running) -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    deep = b'{"input_data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    deeper = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": ' + b"[" * 900 + b"]" * 900 + b"}]}"
    before = service.metric("process_resident_memory_bytes")
    answers = [
        service.client.post("/predict", content=bomb, headers={"content-encoding": "gzip"}),
        service.client.post("/predict", content=gzip.compress(bomb), headers={"content-encoding": "gzip"}),
        service.client.post("/predict", content=gzip.compress(deep), headers={"content-encoding": "gzip"}),
        service.client.post("/predict", content=deep),
        service.client.post("/v1/models/iris:predict", content=deep.replace(b"input_data", b"instances")),
        service.client.post("/v2/models/iris/infer", content=deeper),
        service.client.post("/feedback", content=deep.replace(b"input_data", b"labels")),
    ]
    assert [answer.status_code for answer in answers] == [413, 400, 400, 400, 400, 422, 422]
    assert service.metric("process_resident_memory_bytes") < before + (64 << 20)


def test_shapes_that_promise_more_than_is_there_cost_nothing(service: Running) -> None:
    before = service.metric("process_resident_memory_bytes")
    for shape in ([2**24], [2**24, 0], [2**40, 2**40], [-1, 4], [1] * 9, [2**63], []):
        told = {"name": "x", "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": 4}}
        head = json.dumps({"inputs": [told]}).encode()
        headers = {"inference-header-content-length": str(len(head))}
        assert service.client.post("/v2/models/iris/infer", content=head + bytes(4), headers=headers).status_code == 422
    assert service.metric("process_resident_memory_bytes") < before + (32 << 20)


def test_nothing_that_a_client_writes_makes_a_line_of_the_log_or_a_metric(service: Running) -> None:
    evil = "x%0d%0a%7b%22status%22:200%7d%1b[31m"
    forged = b'a\\n{"status":200,"path":"/forged"}'
    head = (
        b"GET /"
        + evil.encode()
        + b"?key=forged HTTP/1.1\r\nHost: here\r\nX-Request-Id: "
        + forged
        + b"\r\nX-Subject: "
        + forged
    )
    answer = send(service, head + b"\r\nAuthorization: Bearer " + forged + b"\r\nConnection: close\r\n\r\n")
    assert status(answer) == 404
    assert b"forged" not in answer
    send(service, b"FORGED /predict HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    wait_for(lambda: evil in service.log.read_text(), "the line")
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert all({"time", "id", "path", "status"} <= set(line) for line in lines)
    assert not [line for line in lines if line["path"] == "/forged"]
    assert "forged" not in service.log.read_text()
    assert "\x1b" not in service.log.read_text()
    metrics = service.client.get("/metrics").text
    assert "forged" not in metrics.lower()
    assert evil not in metrics


def test_a_crowd_of_open_connections_is_refused_above_the_limit_and_forgotten(service: Running) -> None:
    place = urlsplit(service.first_line["url"])
    crowd = [socket.create_connection((place.hostname, place.port), 30) for _ in range(300)]
    try:
        assert_it_still_answers(service)
    finally:
        for connection in crowd:
            connection.close()
    assert_it_still_answers(service)
