"""Registries of versions that nobody could load, for tests of what is said and moved; their clock is set by hand."""

from dataclasses import dataclass

from storage.objects import open_store
from storage.registry import Registry
from storage.signing import open_keyring

NAME = "digits"
ARTIFACTS = tuple(letter * 64 for letter in "abcd")


@dataclass
class Clock:
    """What time it is."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def open_with(url: str, clock: Clock | None = None) -> Registry:
    """The registry of the store at that URL, by that clock."""
    store = open_store(url)
    return Registry(store, open_keyring(store.url), clock or Clock())


def with_versions(url: str, clock: Clock | None = None) -> Registry:
    """A registry with versions 1 to 4 of `digits`; version 1 is the champion. Entries 0 to 4."""
    registry = open_with(url, clock)
    for artifact in ARTIFACTS:
        registry.register(NAME, artifact, artifact)
    registry.promote(NAME, 1)
    return registry
