"""What a worker knows of who asks: what the supervisor granted, for a minute; and its share of each key's rate."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tasks.service.channel import Channel
from tasks.service.exchange import Request
from tasks.service.keys import allowed
from tasks.service.refusals import Refusal

REMEMBER_SECONDS = 60.0
REMEMBERED = 10_000
LONGEST = 8192  # bytes of a token
NOT_FOUND = "not found"
UNAUTHORISED = "no valid API key; send Authorization: Bearer KEY"


@dataclass
class Grant:
    """Who a token stands for, and until when that holds (seconds since 1970). `rate`: requests a second, 0 for no limit."""

    id: str
    scopes: frozenset[str]
    until: float
    rate: float
    lease: float = 0.0  # requests that may be answered before the supervisor is asked for more
    asking: "asyncio.Future[list[Any]] | None" = None

    def allows(self, action: str, model: str = "") -> bool:
        """Whether it may do `action`; see `allowed`."""
        return allowed(self.scopes, action, model)


EVERYBODY = Grant("", frozenset({"predict:*", "feedback:*", "metrics"}), float("inf"), 0.0)


@dataclass
class Grants:
    """Asks the supervisor who may, and remembers. `with_keys` False: everybody may."""

    channel: Channel
    with_keys: bool
    clock: Callable[[], float] = time.time
    _known: OrderedDict[bytes, Grant] = field(default_factory=OrderedDict)
    _asking: dict[bytes, "asyncio.Future[Grant]"] = field(default_factory=dict)
    _changes: int = 0

    async def admit(self, request: Request) -> Grant:
        """Who asks. Refusal 401 for no valid key, 429 for an address that guesses or a key above its rate."""
        if not self.with_keys:
            return EVERYBODY
        token = _token(request)
        digest = hashlib.sha256(token).digest()
        grant = self._known.get(digest)
        if grant is None or grant.until <= self.clock():
            grant = await self._ask_once(token, digest, request.address)
        request.key = grant.id
        if grant.rate:
            if grant.lease < 1:
                await self._lease(grant)
            grant.lease -= 1
        return grant

    def forget(self) -> None:
        """The keys have changed: each is asked for anew at its next request, those too whose answer is still on its way."""
        self._changes += 1
        for grant in self._known.values():
            grant.until = 0.0

    async def _ask_once(self, token: bytes, digest: bytes, address: str) -> Grant:
        """Of many requests that come with a new token one asks, and the others wait for its answer."""
        if not token or len(token) > LONGEST:
            raise unauthorised()
        if digest not in self._asking:
            asking = self._asking[digest] = asyncio.ensure_future(self._ask(token, digest, address))
            asking.add_done_callback(lambda asked: self._asking.pop(digest, None) and asked.exception())
        return await asyncio.shield(self._asking[digest])

    async def _ask(self, token: bytes, digest: bytes, address: str) -> Grant:
        changes = self._changes
        told = await self.channel.ask("identify", [token, address, digest in self._known])
        if told["status"] == 429:
            raise Refusal(429, "too many wrong keys; wait", headers={"retry-after": told["wait"]}, kind="guessing")
        if told["status"] != 200:
            self._known.pop(digest, None)
            raise unauthorised()
        until = min(self.clock() + REMEMBER_SECONDS, told["expires"] or float("inf"))
        if changes != self._changes:
            until = 0.0
        grant = Grant(told["id"], frozenset(told["scopes"]), until, told["rate"] or 0.0)
        self._known[digest] = grant
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return grant

    async def _lease(self, grant: Grant) -> None:
        """Take requests out of the key's bucket, which all workers share; those that come meanwhile wait for the same answer."""
        while grant.lease < 1:
            if grant.asking is None:
                grant.asking = asyncio.ensure_future(self._take(grant))
            given, wait = await asyncio.shield(grant.asking)
            if given < 1:
                message = f"found more than {grant.rate:g} requests a second by this key; wait"
                raise Refusal(429, message, headers={"retry-after": wait})

    async def _take(self, grant: Grant) -> list[Any]:
        """What the supervisor gives; it counts before anybody who waits goes on, else they would ask for ever."""
        try:
            given, wait = await self.channel.ask("take", [grant.id, grant.rate])
            grant.lease += given
            return [given, wait]
        finally:
            grant.asking = None


def _token(request: Request) -> bytes:
    header = request.headers.get(b"authorization")
    if header is None:
        return request.headers.get(b"x-api-key", b"")
    return header[7:].strip() if header[:7].lower() == b"bearer " else b""


def unauthorised() -> Refusal:
    """The one answer to every wrong key."""
    return Refusal(401, UNAUTHORISED, headers={"www-authenticate": "Bearer"})


def not_found() -> Refusal:
    """The one answer for what is not there, or not for this key."""
    return Refusal(404, NOT_FOUND)
