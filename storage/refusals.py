"""What the registry refuses: moves decided on what has changed since, what was rolled back, what makes no sense beside the champion."""

from types import EllipsisType

from storage.aliases import BESIDE, CANARY, CHAMPION, SHADOW
from storage.errors import ConfigError, Conflict, NotFound
from storage.standing import Standing


def refuse_unknown(name: str, standing: Standing, number: int) -> None:
    """NotFound for a version that the model does not have."""
    if number not in standing.versions:
        raise NotFound(
            f"model {name!r}: found versions {sorted(standing.versions)}, wanted {number}; millrace models {name}"
        )


def refuse_moved(name: str, standing: Standing, alias: str, expected: int | EllipsisType | None) -> None:
    """Conflict where `alias` does not point at version `expected` (None: at nothing; …: whatever it points at)."""
    current = standing.current(alias)
    if expected is not ... and current != expected:
        raise Conflict(
            f"alias {alias!r} of model {name!r}: found {_told(current)}, expected {_told(expected)}: "
            "somebody else moved it; run again to compare with the version that holds it now"
        )


def refuse_another_trial(name: str, standing: Standing, alias: str, trial: int | None) -> None:
    """Conflict where the canary or shadow does not stand as entry `trial` left it (None: however it stands)."""
    entry = standing.beside.get(alias)
    if trial is not None and (entry is None or entry.index != trial):
        found = f"that of entry {entry.index}" if entry else "none"
        raise Conflict(
            f"{alias} of model {name!r}: found {found}, expected that of entry {trial}: somebody else changed or ended it; "
            f"millrace status {name} shows what serves now"
        )


def refuse_rolled_back(name: str, standing: Standing, number: int, command: str) -> None:
    """Conflict for a version that was rolled back: it does not come back by itself, but by `command`."""
    if standing.versions[number].artifact in standing.rolled_back:
        raise Conflict(
            f"version {number} of model {name!r} was rolled back and does not come back by itself; "
            f"{command} brings it back"
        )


def refuse_share(alias: str, share: float) -> None:
    """ConfigError for a share that a canary or shadow cannot have."""
    if not (0 < share < 1 or (alias == SHADOW and share == 1)):
        wanted = "above 0 % and at most 100 %" if alias == SHADOW else "above 0 % and below 100 %"
        raise ConfigError(f"share of the {alias}: found {100 * share:g} %, wanted {wanted} of the requests")


def refuse_beside(name: str, standing: Standing, alias: str, number: int) -> None:
    """NotFound or Conflict where there is no champion to stand beside, or the version answers more than that already."""
    champion = standing.current(CHAMPION)
    if champion is None:
        raise NotFound(
            f"model {name!r} has no champion that a {alias} could stand beside; first millrace promote {name} VERSION"
        )
    if number == champion:
        raise Conflict(
            f"version {number} of model {name!r} is the champion, and no {alias} beside itself; name another"
        )
    if alias == SHADOW and number == standing.current(CANARY):
        raise Conflict(f"version {number} of model {name!r} is the canary; first millrace canary {name} --stop")


def refuse_promotion_beside(name: str, version: int, alias: str) -> None:
    """ConfigError for an alias that is begun, not promoted to."""
    if alias in BESIDE:
        raise ConfigError(
            f"alias {alias!r} is not promoted to; a {alias} begins with millrace {alias} {name} {version}"
        )


def refuse_withdrawal(name: str, alias: str) -> None:
    """ConfigError for an alias that is moved, not ended."""
    if alias not in BESIDE:
        raise ConfigError(
            f"alias {alias!r} is not withdrawn; it goes back with millrace rollback {name} --alias {alias}"
        )


def refuse_rollback(name: str, alias: str) -> None:
    """ConfigError for a shadow, which answers nobody."""
    if alias == SHADOW:
        raise ConfigError(f"alias {alias!r} is not rolled back; a shadow ends with millrace shadow {name} --stop")


def _told(number: int | EllipsisType | None) -> str:
    return "none" if number is None else f"version {number}"
