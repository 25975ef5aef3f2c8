"""HTTP as clients really speak it: offers of HTTP/2, requests behind each other, trailers, answers that nobody takes."""

import contextlib
import http.client
import json
import socket
from pathlib import Path

import pytest
from commands import wait_for
from handmade import ITEMS, iris_store
from inprocess import InThread, in_thread

from tasks.service.limits import Limits
from tasks.service.loading import Loaded, Loader

BODY = json.dumps({"input_data": ITEMS[:1]}).encode()
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
COUNTED = b"Content-Length: %d" % len(BODY), BODY
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    store, registry = iris_store(tmp_path)
    return Loader(store, registry).load("iris", 1)


def talk(running: InThread, *pieces: bytes) -> bytes:
    """All that is answered until the connection is closed; each piece is sent when the service has read those before."""
    with socket.create_connection((running.host, running.port), 30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            with socket.create_connection((running.host, running.port), 30) as other:
                other.sendall(HEALTH)
                while other.recv(4096):
                    continue
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("framing", [COUNTED, CHUNKED])
@pytest.mark.parametrize("cut", [0, 5, 10**6])
def test_a_client_that_offers_http_2_is_answered_in_http_1(
    loaded: Loaded, framing: tuple[bytes, bytes], cut: int
) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\n" + OFFER + framing[0] + b"\r\n\r\n"
    with in_thread(loaded, Limits()) as running:
        answer = talk(running, head + framing[1][:cut], framing[1][cut:] + HEALTH)
    assert answer.count(b"HTTP/1.1 200") == answer.count(b"HTTP/1.1 ") == 2
    assert b'"prediction":["setosa"]' in answer
    assert answer.endswith(b'{"status":"ok"}')


def test_a_body_behind_an_offer_is_no_request(loaded: Loaded) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\n" + OFFER + b"Content-Length: %d\r\n\r\n" % len(HEALTH)
    with in_thread(loaded, Limits()) as running:
        answer = talk(running, head, HEALTH, HEALTH.replace(b"healthz", b"nothing"))
    assert [answer.count(b"HTTP/1.1 " + status) for status in (b"", b"400", b"404")] == [2, 1, 1]


def test_what_stands_behind_a_body_is_no_header(loaded: Loaded) -> None:
    trailer = b"0\r\nX-Request-Id: behind\r\nAuthorization: Bearer x\r\nContent-Encoding: gzip\r\n\r\n"
    request = b"POST /predict HTTP/1.1\r\nHost: here\r\nX-Request-Id: before\r\nTransfer-Encoding: chunked\r\n\r\n"
    with in_thread(loaded, Limits()) as running:
        answer = talk(running, request + CHUNKED[1][:-5] + trailer + HEALTH)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"x-request-id: before\r\n" in answer


def test_a_request_behind_another_is_not_counted_with_its_body(loaded: Loaded) -> None:
    body = BODY + b" " * 100_000
    request = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with in_thread(loaded, Limits()) as running:
        answer = talk(running, request[:50_000], request[50_000:] + HEALTH[:20], HEALTH[20:])
    assert answer.count(b"HTTP/1.1 200") == answer.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize(
    ("path", "error"), [("/v2/models/iris/infer", str), ("/v1/models/iris:predict", str), ("/predict", dict)]
)
def test_a_connection_refuses_in_the_words_of_the_paths_protocol(loaded: Loaded, path: str, error: type) -> None:
    with in_thread(loaded, Limits(body_seconds=0.2)) as running:
        slow = talk(running, f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n".encode())
        long = talk(running, f"POST {path} HTTP/1.1\r\nHost: here\r\nX: {'x' * 20_000}\r\n\r\n".encode())
        counted = {kind: running.service.tally.numbers["millrace_errors", kind] for kind in ("slow", "too_large")}
    for answer, status in ((slow, b"408"), (long, b"431")):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert isinstance(json.loads(body)["error"], error)
    assert counted == {"slow": 1, "too_large": 1}


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_request_is_refused_in_json(loaded: Loaded, raw: bytes) -> None:
    with in_thread(loaded, Limits()) as running:
        head, _, body = talk(running, raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["error"]["type"] == "bad_request"


def test_above_the_limit_of_connections_the_answer_says_when_to_come_back(loaded: Loaded) -> None:
    with (
        in_thread(loaded, Limits(connections=1)) as running,
        socket.create_connection((running.host, running.port), 30) as first,
    ):
        first.sendall(HEALTH.replace(b"close", b"keep-alive"))
        assert first.recv(4096).startswith(b"HTTP/1.1 200")
        with socket.create_connection((running.host, running.port), 30) as second:
            answer = b"".join(iter(lambda: second.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in answer


def test_a_client_that_takes_no_answers_loses_its_connection(loaded: Loaded) -> None:
    with in_thread(loaded, Limits(idle_seconds=0.2)) as running, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((running.host, running.port))
        client.setblocking(False)
        wait_for(lambda: running.connections, "the connection")

        def gone() -> bool:
            with contextlib.suppress(OSError):
                client.send(b"GET /status HTTP/1.1\r\nHost: here\r\n\r\n" * 100)
            return not running.connections

        wait_for(gone, "its end")


def test_a_client_that_sends_all_before_it_reads_is_told_what_was_too_much(loaded: Loaded) -> None:
    with in_thread(loaded, Limits(body_bytes=1000)) as running:
        client = http.client.HTTPConnection(running.host, running.port, timeout=30)
        client.request("POST", "/predict", b"x" * 20_000_000)
        assert client.getresponse().status == 413
        client.close()
