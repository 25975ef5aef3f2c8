"""The supervisor's trials: what was decided is done, also where the first try fails, and never signed by a key that nobody trusts."""

import shutil
from pathlib import Path

import pytest

from storage.entries import entry_key
from storage.errors import ConfigError
from storage.objects import open_store
from storage.registry import Registry, open_registry
from tasks.service.following import Following
from tasks.service.routes import Route
from tasks.service.trials import Trials

POISONED = [["iris", 1, [500, 0, 0, 0, 0, 0]], ["iris", 2, [500, 250, 0, 0, 0, 0]]]


class Service:
    """One that follows `iris` in the store at `url`."""

    def __init__(self, url: str) -> None:
        self.registry = open_registry(url)
        self.following = Following(open_store(url), self.registry, "iris", "champion")
        self.trials = Trials(self.registry, {"iris": self.following})
        self.routes: dict[str, Route] = {}

    def look(self) -> None:
        route = self.following.look()
        if route:
            self.routes = {"iris": route}
            self.following.settle()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """`iris` with version 1 as champion and version 2 as canary."""
    registry = open_registry(str(tmp_path / "store"))
    for digest in ("a" * 64, "b" * 64):
        registry.register("iris", digest, digest)
    registry.promote("iris", 1)
    registry.canary("iris", 2, 0.5, {})
    return registry


@pytest.fixture
def service(registry: Registry, tmp_path: Path) -> Service:
    service = Service(str(tmp_path / "store"))
    service.look()
    service.trials.add(POISONED, service.routes)
    return service


@pytest.fixture
def signing_key(registry: Registry, tmp_path: Path) -> Path:
    """The key that signed the log; its public half is trusted from elsewhere too, as where a service only reads."""
    keys = tmp_path / "store-keys"
    shutil.copy(keys / "signing.pub", keys / "trusted" / "releases.pub")
    return keys / "signing.key"


def test_a_poisoned_canary_is_rolled_back_once(service: Service, registry: Registry) -> None:
    ((running, verdict),) = service.trials.decided(service.routes)
    assert service.trials.act(running, verdict)
    assert registry.traffic("iris").canary is None
    assert service.trials.decided(service.routes) == []


def test_a_rollback_that_cannot_be_written_now_is_tried_again(
    service: Service, registry: Registry, signing_key: Path, tmp_path: Path
) -> None:
    signing_key.rename(tmp_path / "elsewhere")
    ((running, verdict),) = service.trials.decided(service.routes)
    assert not service.trials.act(running, verdict)
    assert service.trials.decided(service.routes) == []  # not at once
    (tmp_path / "elsewhere").rename(signing_key)
    running.due = 0.0
    assert service.trials.decided(service.routes) == [(running, verdict)]
    assert service.trials.act(running, verdict)
    assert registry.traffic("iris").canary is None


def test_a_service_without_a_signing_key_makes_none(
    service: Service, signing_key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signing_key.unlink()
    for _ in range(2):
        ((running, verdict),) = service.trials.decided(service.routes)
        assert not service.trials.act(running, verdict)
        running.due = 0.0
    assert not signing_key.exists()
    assert service.following.store.size(entry_key("iris", 4)) is None
    assert caplog.text.count("no signing key") == 1
    assert "MILLRACE_SIGNING_KEY" in caplog.text


def test_a_policy_that_this_version_does_not_know_stops_nothing(service: Service, registry: Registry) -> None:
    service.trials.decided(service.routes)
    registry.canary("iris", 2, 0.5, {"from_the_future": 1})
    with pytest.raises(ConfigError, match="from_the_future"):
        service.look()
    assert service.trials.decided(service.routes) == []  # the trial from before goes on
