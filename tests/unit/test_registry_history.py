"""The log told as stretches of time: what each alias pointed at, from when to when, and at a moment."""

from pathlib import Path

import pytest
from registries import NAME, Clock, open_with, with_versions

from storage.errors import NotFound
from storage.history import Tenure, held_at
from storage.registry import Registry


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Registry:
    """Version 1 is the champion since 100."""
    return with_versions(str(tmp_path / "store"), clock)


def told(tenures: list[Tenure]) -> list[tuple[str, int, float, float, float | None]]:
    return [(one.alias, one.version.number, one.share, one.start, one.end) for one in tenures]


def at(registry: Registry, time: float) -> dict[str, int]:
    return {alias: tenure.version.number for alias, tenure in held_at(registry.history(NAME), time).items()}


def test_every_alias_has_its_stretches(registry: Registry, clock: Clock):
    clock.now = 200.0
    registry.canary(NAME, 2, 0.1)
    clock.now = 250.0
    registry.canary(NAME, 2, 0.5)
    clock.now = 300.0
    registry.shadow(NAME, 3)
    clock.now = 400.0
    registry.promote(NAME, 2, reason="as good", automatic=True)
    clock.now = 500.0
    registry.rollback(NAME, reason="odd answers")
    clock.now = 600.0
    registry.withdraw(NAME, "shadow")
    tenures = registry.history(NAME)
    assert told(tenures) == [
        ("champion", 1, 1.0, 100.0, 400.0),
        ("canary", 2, 0.1, 200.0, 250.0),
        ("canary", 2, 0.5, 250.0, 400.0),
        ("shadow", 3, 1.0, 300.0, 600.0),
        ("champion", 2, 1.0, 400.0, 500.0),
        ("champion", 1, 1.0, 500.0, None),
    ]
    served = tenures[4]
    assert served.ended
    assert (served.began.fields["reason"], served.ended.action) == ("as good", "rollback")
    assert served.ended.fields["reason"] == "odd answers"


def test_a_moment_has_what_began_by_then_and_was_not_over(registry: Registry, clock: Clock):
    clock.now = 200.0
    registry.canary(NAME, 2, 0.1)
    clock.now = 300.0
    registry.promote(NAME, 2)
    assert at(registry, 99.9) == {}
    assert at(registry, 100.0) == {"champion": 1}
    assert at(registry, 200.0) == {"champion": 1, "canary": 2}
    assert at(registry, 299.9) == {"champion": 1, "canary": 2}
    assert at(registry, 300.0) == {"champion": 2}
    assert at(registry, 1e12) == {"champion": 2}


def test_another_version_or_a_registration_does_not_end_what_goes_on(registry: Registry, clock: Clock):
    registry.canary(NAME, 2, 0.1)
    clock.now = 200.0
    registry.register(NAME, "e" * 64, "e" * 64)
    registry.promote(NAME, 3)
    assert told(registry.history(NAME))[1] == ("canary", 2, 0.1, 100.0, None)


def test_a_writer_whose_clock_is_behind_does_not_turn_time_back(registry: Registry, clock: Clock):
    clock.now = 50.0
    registry.promote(NAME, 2)
    clock.now = 150.0
    registry.promote(NAME, 3)
    assert told(registry.history(NAME)) == [
        ("champion", 1, 1.0, 100.0, 100.0),
        ("champion", 2, 1.0, 100.0, 150.0),
        ("champion", 3, 1.0, 150.0, None),
    ]
    assert at(registry, 100.0) == {"champion": 2}


def test_an_unknown_model_has_no_history_and_its_nearest_name_is_told(registry: Registry, tmp_path: Path):
    with pytest.raises(NotFound, match="did you mean 'digits'"):
        registry.history("digit")
    fresh = open_with(str(tmp_path / "other"))
    fresh.register(NAME, "a" * 64, "a" * 64)
    assert fresh.history(NAME) == []
