"""In the supervisor: checks keys and tokens for all workers, slows down guessing, and keeps each key's bucket of requests."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.errors import ConfigError
from tasks.service.keys import Key, burst_of, check_secret, read_keys, split_token

FREE_FAILURES = 10.0  # wrong keys an address may send at once; after that one each REFILL_SECONDS
REFILL_SECONDS = 5.0
ADDRESSES = 10_000
LEASE_SECONDS = 0.1  # of a key's rate is given to a worker at a time
WRONG = {"status": 401}
log = logging.getLogger(__name__)


@dataclass
class Buckets:
    """Token buckets by name (https://en.wikipedia.org/wiki/Token_bucket); the longest unused are dropped above `most`."""

    clock: Callable[[], float]
    most: int = ADDRESSES
    _filled: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, name: str, wanted: float, rate: float, size: float) -> float:
        """Up to `wanted` out of a bucket of `size` that `rate` a second flow into; 0 where it holds less than one."""
        now = self.clock()
        level, since = self._filled.pop(name, (size, now))
        level = min(size, level + (now - since) * rate)
        given = min(wanted, level) if level >= 1 else 0.0
        self._filled[name] = level - given, now
        while len(self._filled) > self.most:
            self._filled.popitem(last=False)
        return given

    def give(self, name: str, back: float, size: float) -> None:
        """Put back what was not needed."""
        level, since = self._filled.get(name, (size, self.clock()))
        self._filled[name] = min(size, level + back), since


@dataclass
class Authority:
    """The key file `keys`, and `verify` for JSON web tokens, where there are such."""

    keys: Path | None
    verify: Callable[[str], Key | None] | None = None
    clock: Callable[[], float] = time.time
    _worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "keys"))

    def __post_init__(self) -> None:
        self._failures, self._rates = Buckets(self.clock), Buckets(self.clock)
        if self.keys:
            read_keys(self.keys)

    async def identify(self, asked: list[Any]) -> dict[str, Any]:
        """Who `[token, address, known]` is: status 200 with id, scopes, expires and rate; 401; or 429 for an address that guesses.

        `known`: this token was valid a while ago, and so is no guess.
        """
        token, address, known = asked
        if not known and not self._failures.take(address, 1, 1 / REFILL_SECONDS, FREE_FAILURES):
            return {"status": 429, "wait": str(round(REFILL_SECONDS))}
        loop = asyncio.get_running_loop()
        key = await loop.run_in_executor(self._worker, self._check, bytes(token))
        if key is None:
            log.warning("wrong key from %s", address)
            return WRONG
        if not known:
            self._failures.give(address, 1, FREE_FAILURES)
        return {"status": 200, "id": key.id, "scopes": list(key.scopes), "expires": key.expires, "rate": key.rate}

    async def take(self, asked: list[Any]) -> list[Any]:
        """`[requests that may be answered, seconds to wait as text]` for `[key id, requests a second]`."""
        name, rate = asked
        given = self._rates.take(name, max(1.0, rate * LEASE_SECONDS), rate, burst_of(rate))
        return [float(int(given)), str(max(1, round(1 / rate)))]

    def stamp(self) -> tuple[int, int, int] | None:
        """Changes with the key file."""
        try:
            told = self.keys.stat() if self.keys else None
        except OSError:
            return None
        return (told.st_mtime_ns, told.st_size, told.st_ino) if told else None

    def _check(self, token: bytes) -> Key | None:
        try:
            text = token.decode("ascii")
            parts = split_token(text)
            if parts is None:
                return self.verify(text) if self.verify else None
            if self.keys is None:
                return None
            key = read_keys(self.keys).get(parts[0])
        except UnicodeDecodeError:
            return None
        except ConfigError as error:
            log.error("every new key is refused: %s", error)
            return None
        valid = check_secret(key, parts[1])
        return key if valid and key and (key.expires is None or self.clock() < key.expires) else None
