"""What a request may cost: bytes, inflated bytes, seconds, items. A body is read and inflated no further than its limit."""

import asyncio
import zlib
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from tasks.service.refusals import Refusal

GZIP = zlib.MAX_WBITS | 16


@dataclass(frozen=True)
class Limits:
    """Limits of one request (`body_bytes` also after inflating), and of what waits for the model.

    `completions` are computed at a time; `choices`, `completion_tokens`, `stops` and `prompt_bytes` bound one of them.
    """

    body_bytes: int = 4 * 2**20
    body_seconds: float = 10.0
    items: int = 1024
    batch_rows: int = 64
    queue_rows: int = 4096
    queue_seconds: float = 10.0
    grace_seconds: int = 30
    completions: int = 2
    completions_waiting: int = 16
    completion_tokens: int = 1024
    choices: int = 16
    stops: int = 4
    prompt_bytes: int = 64 * 2**10


async def read_body(request: Request, limits: Limits) -> bytes:
    """The request's body, inflated; Refusal 408, 413 or 415."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise Refusal(
            415, f"body: found content-encoding {encoding!r}, wanted gzip or none", headers={"accept-encoding": "gzip"}
        )
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await _receive(request, limits)
    except TimeoutError:
        message = f"body: not here after {limits.body_seconds:g} s; send it faster or in smaller requests"
        raise Refusal(408, message, headers={"connection": "close"}) from None
    return _inflate(body, limits) if encoding == "gzip" else body


async def _receive(request: Request, limits: Limits) -> bytes:
    chunks, size = [], 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limits.body_bytes:
            raise _too_large(limits)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _inflate(body: bytes, limits: Limits) -> bytes:
    inflater = zlib.decompressobj(GZIP)
    try:
        inflated = inflater.decompress(body, limits.body_bytes + 1)
    except zlib.error as error:
        raise Refusal(400, f"body: found broken gzip ({error}), wanted what content-encoding says") from None
    if len(inflated) > limits.body_bytes:
        raise _too_large(limits)
    if not inflater.eof or inflater.unused_data:
        raise Refusal(400, "body: found gzip that is cut short or goes on after its end, wanted one whole gzip stream")
    return inflated


def _too_large(limits: Limits) -> Refusal:
    mebibytes = limits.body_bytes / 2**20
    return Refusal(
        413, f"body: found more than {mebibytes:g} MiB (also counted after inflating); send fewer items a request"
    )
