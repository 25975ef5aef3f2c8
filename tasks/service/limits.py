"""What a request may cost: bytes, inflated bytes, seconds, items, depth. A body is read and inflated no further than its limit."""

import zlib

import msgspec

from tasks.service.exchange import Request
from tasks.service.refusals import Refusal

# By content-encoding, RFC 9110 §8.4.1: Triton's client offers both
FORMATS = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one request, of a connection, of what waits for a model, and of loaded models.

    `body_bytes` counts also after inflating; `wait_seconds` bounds the time that what waits will take, as far as can be foreseen, and
    `queue_seconds` how long one may really have waited. `memory_mib`: of one worker's loaded models, 0 for no limit.
    `completions` are computed at a time; `choices`, `completion_tokens`, `stops` and `prompt_bytes` bound one of them.
    """

    body_bytes: int = 4 * 2**20
    body_seconds: float = 10.0
    header_bytes: int = 16 * 2**10
    header_seconds: float = 10.0
    idle_seconds: float = 75.0
    connections: int = 4096
    items: int = 1024
    batch_rows: int = 64
    queue_rows: int = 4096
    queue_seconds: float = 10.0
    wait_seconds: float = 1.0
    grace_seconds: float = 30.0
    memory_mib: float = 0.0
    completions: int = 2
    completions_waiting: int = 16
    completion_tokens: int = 1024
    choices: int = 16
    stops: int = 4
    prompt_bytes: int = 64 * 2**10


async def read_body(request: Request, limits: Limits) -> bytes:
    """The request's body, inflated; Refusal 413 or 415. A slow one is ended by the connection, which knows the time."""
    encoding = request.headers.get(b"content-encoding")
    declared = request.headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > limits.body_bytes:
        raise _too_large(limits)
    message = await request.receive()
    body = message["body"] if not message["more_body"] else await _gather(request, limits, message["body"])
    if len(body) > limits.body_bytes:
        raise _too_large(limits)
    if encoding is None or encoding == b"identity":
        return body
    if (window := FORMATS.get(encoding.strip().lower())) is None:
        found = encoding[:40].decode("latin-1")
        message = f"body: found content-encoding {found!r}, wanted gzip, deflate or none"
        raise Refusal(415, message, headers={"accept-encoding": "gzip, deflate"})
    return _inflate(body, window, limits)


async def _gather(request: Request, limits: Limits, first: bytes) -> bytes:
    chunks, size = [first], len(first)
    while True:
        message = await request.receive()
        size += len(message["body"])
        if size > limits.body_bytes:
            raise _too_large(limits)
        chunks.append(message["body"])
        if not message["more_body"]:
            return b"".join(chunks)


def _inflate(body: bytes, window: int, limits: Limits) -> bytes:
    inflater = zlib.decompressobj(window)
    try:
        inflated = inflater.decompress(body, limits.body_bytes + 1)
    except zlib.error as error:
        raise Refusal(400, f"body: found broken gzip or deflate ({error}), wanted what content-encoding says") from None
    if len(inflated) > limits.body_bytes:
        raise _too_large(limits)
    if not inflater.eof or inflater.unused_data:
        raise Refusal(
            400, "body: found gzip or deflate that is cut short or goes on after its end, wanted one whole stream"
        )
    return inflated


def _too_large(limits: Limits) -> Refusal:
    mebibytes = limits.body_bytes / 2**20
    return Refusal(
        413,
        f"body: found more than {mebibytes:g} MiB (also counted after inflating); send fewer items a request",
        headers={"connection": "close"},
    )
