"""Whether a training goes on from a checkpoint: under the conditions that it was written under, or as the setting says."""

from collections.abc import Mapping
from typing import Any

from storage.errors import ConfigError
from tasks.sections import TrainSection

CONDITIONS = {
    "threads",
    "precision",
    "on_other_conditions",
}  # settings that a checkpoint's conditions tell of by themselves


def work_fields(section: TrainSection) -> dict[str, Any]:
    """The fields that decide which training this is, whatever the conditions."""
    return {name: value for name, value in section.key_fields().items() if name not in CONDITIONS}


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What a condition was, and is, for each that is not the same."""
    return {name: [then.get(name), now[name]] for name in sorted(now) if then.get(name) != now[name]}


def described(changes: Mapping[str, list[Any]]) -> str:
    """Changed conditions in words."""
    return ", ".join(f"{name} was {was}, is {now}" for name, (was, now) in changes.items())


def goes_on(section: TrainSection, changes: Mapping[str, list[Any]], where: str) -> bool:
    """Whether to go on from the checkpoint of `where` for all that has changed since; False: to begin anew.

    ConfigError where the setting is to refuse.
    """
    if section.on_other_conditions == "refuse":
        raise ConfigError(
            f"train: found a checkpoint of {where} that was written under other conditions ({described(changes)}), wanted the same, as the "
            "result would be another; bring them back, or set train.on_other_conditions=restart to train anew, or =continue to go on and "
            "have the model marked"
        )
    return section.on_other_conditions == "continue"
