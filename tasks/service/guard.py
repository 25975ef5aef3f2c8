"""Who may ask: checks API keys beside the event loop, remembers the valid ones for a minute, and slows down guessing."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from storage.errors import ConfigError
from tasks.service.keys import Key, check_secret, read_keys, split_token
from tasks.service.refusals import Refusal

REMEMBER_SECONDS = 60.0
REMEMBERED = 10_000
FREE_FAILURES = 10  # wrong keys an address may send at once; after that one each REFILL_SECONDS
REFILL_SECONDS = 5.0
ADDRESSES = 10_000
log = logging.getLogger(__name__)


@dataclass
class Guard:
    """Checks the keys in the file `path`. A key that was revoked or has expired is refused after a minute at most."""

    path: Path
    clock: Callable[[], float] = time.time
    _known: OrderedDict[bytes, tuple[Key, float]] = field(default_factory=OrderedDict)
    _failures: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    _worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "keys"))

    def __post_init__(self) -> None:
        read_keys(self.path)

    async def admit(self, request: Request, model: str) -> None:
        """Refusal 401 for no valid key, 404 for one without the scope, 429 for an address that guesses."""
        key = await self._identify(_token(request), request.client.host if request.client else "")
        if not key.allows(model):
            raise Refusal(404, "not found")

    async def _identify(self, token: str, address: str) -> Key:
        parts = split_token(token)
        if parts is None:
            raise _unauthorised()
        digest = hashlib.sha256(token.encode()).digest()
        remembered = self._known.get(digest)
        if remembered and self.clock() < remembered[1]:
            return remembered[0]
        if remembered is None:
            self._throttle(address)
        key = await asyncio.get_running_loop().run_in_executor(self._worker, self._check, *parts)
        if key is None:
            self._known.pop(digest, None)
            self._note_failure(address)
            raise _unauthorised()
        until = min(self.clock() + REMEMBER_SECONDS, key.expires or float("inf"))
        _remember(self._known, digest, (key, until), REMEMBERED)
        return key

    def _check(self, name: str, secret: str) -> Key | None:
        try:
            key = read_keys(self.path).get(name)
        except ConfigError as error:
            log.error("every new key is refused: %s", error)
            return None
        valid = check_secret(key, secret)
        return key if valid and key and (key.expires is None or self.clock() < key.expires) else None

    def _throttle(self, address: str) -> None:
        failures, since = self._failures.get(address, (0.0, 0.0))
        if failures - (self.clock() - since) / REFILL_SECONDS >= FREE_FAILURES:
            raise Refusal(429, "too many wrong keys; wait", headers={"retry-after": str(round(REFILL_SECONDS))})

    def _note_failure(self, address: str) -> None:
        now = self.clock()
        failures, since = self._failures.get(address, (0.0, now))
        left = max(0.0, failures - (now - since) / REFILL_SECONDS)
        _remember(self._failures, address, (left + 1, now), ADDRESSES)
        log.warning("wrong key from %s", address)


def _token(request: Request) -> str:
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")


def _unauthorised() -> Refusal:
    return Refusal(
        401, "no valid API key; send Authorization: Bearer id.secret", headers={"www-authenticate": "Bearer"}
    )


def _remember(memory: OrderedDict, name: bytes | str, value: tuple, limit: int) -> None:
    memory[name] = value
    memory.move_to_end(name)
    while len(memory) > limit:
        memory.popitem(last=False)
