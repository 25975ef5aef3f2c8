"""In the supervisor: checks keys and tokens for all workers, slows down guessing, and keeps each key's bucket of requests."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
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
        """Up to `wanted`, in whole ones, out of a bucket of `size` that `rate` a second flow into."""
        now = self.clock()
        level, since = self._filled.pop(name, (size, now))
        level = min(size, level + max(0.0, now - since) * rate)  # a clock may be set back
        given = float(int(min(wanted, level)))
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
    _known_worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "known-keys"))

    def __post_init__(self) -> None:
        self._failures, self._rates = Buckets(self.clock), Buckets(self.clock)
        if self.keys:
            read_keys(self.keys)

    async def identify(self, asked: list[Any]) -> dict[str, Any]:
        """Who `[token, address, known]` is: status 200 with id, scopes, expires and rate; 401; or 429 for an address that guesses.

        `known`: this token was valid a while ago, and so is no guess, and does not wait behind those that may be.
        """
        token, address, known = asked
        source = _source(address)
        if not known and not self._failures.take(source, 1, 1 / REFILL_SECONDS, FREE_FAILURES):
            return {"status": 429, "wait": str(round(REFILL_SECONDS))}
        loop = asyncio.get_running_loop()
        key = await loop.run_in_executor(self._known_worker if known else self._worker, self._check, bytes(token))
        if key is None:
            log.warning("wrong key from %s", address)
            return WRONG
        if not known:
            self._failures.give(source, 1, FREE_FAILURES)
        return {"status": 200, "id": key.id, "scopes": list(key.scopes), "expires": key.expires, "rate": key.rate}

    async def take(self, asked: list[Any]) -> list[Any]:
        """`[requests that may be answered, seconds to wait as text]` for `[key id, requests a second]`."""
        name, rate = asked
        given = self._rates.take(name, max(1.0, rate * LEASE_SECONDS), rate, burst_of(rate))
        return [given, str(max(1, round(1 / rate)))]

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


def _source(address: str) -> str:
    """Who is at an address: of version 6 one client has a network of 2^64 (RFC 6177), and would otherwise guess from all of them."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
