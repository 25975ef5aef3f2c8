"""Which version answers: the champion, or the canary for its share of subjects; beside them a shadow that answers nobody."""

import hashlib
import random

import msgspec

from tasks.service.exchange import Request

CHAMPION, CANARY, SHADOW = "champion", "canary", "shadow"


class Route(msgspec.Struct, frozen=True):
    """Numbers of one model's versions, 0 for none. `alias`: what the champion is called; `salt` changes with each canary.

    `slower`: a batch of the canary that takes more than so many times what the champion's do is slow.
    """

    model: str
    champion: int
    alias: str = CHAMPION
    canary: int = 0
    share: float = 0.0
    salt: str = ""
    slower: float = 2.0
    shadow: int = 0
    shadow_share: float = 0.0

    @property
    def numbers(self) -> set[int]:
        """All versions that are needed."""
        return {self.champion, self.canary, self.shadow} - {0}

    def choose(self, request: Request) -> tuple[int, str]:
        """The version for a request, and its role. The same subject meets the same version for as long as the canary lasts."""
        if self.canary and drawn(self.salt, request) < self.share:
            return self.canary, CANARY
        return self.champion, CHAMPION

    def labelled(self, label: str) -> tuple[int, str] | None:
        """The version that an alias points at, and its role; a shadow answers nobody."""
        if label == self.alias:
            return self.champion, CHAMPION
        return (self.canary, "asked") if label == CANARY and self.canary else None

    def numbered(self, number: int) -> tuple[int, str] | None:
        """A version asked for by its number: one that holds an alias now."""
        if number == self.champion:
            return number, CHAMPION
        return (number, "asked") if number and number == self.canary else None


def drawn(salt: str, request: Request) -> float:
    """A number from 0 to 1: always the same for a subject, any for a request without one."""
    subject = request.subject
    if not subject:
        return random.random()
    digest = hashlib.blake2b(f"{salt}\0{subject}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
