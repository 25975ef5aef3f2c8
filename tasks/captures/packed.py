"""What the workers pack of a request and of labels, and the rows that become of it, without what must not be kept."""

import math
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from storage.objects import ObjectStore
from storage.registry import Registry
from tasks.captures.places import Place, hour_of
from tasks.captures.redaction import Redaction
from tasks.captures.versions import Version, all_targets, keep_reference, open_version

LOOK_SECONDS = 60.0  # between looks at what all models predict
Rows = list[tuple[Any, ...]]


class Request(msgspec.Struct, array_like=True):
    """A request and its answer."""

    seconds: float
    id: str
    subject: str
    key: str
    model: str
    version: int
    role: str
    items: list[Any]
    predictions: list[Any]

    @property
    def place(self) -> Place:
        """Where its rows belong."""
        return Place(self.model, self.version, False, hour_of(self.seconds))


class Told(msgspec.Struct, array_like=True):
    """The right answers to a request. Without a model: for whichever of `models` has it; `*` is every one."""

    seconds: float
    request_id: str
    model: str
    version: int
    labels: list[Any]
    models: list[str] = []

    @property
    def place(self) -> Place:
        """Where its rows belong."""
        return Place(self.model, self.version, True, hour_of(self.seconds))


class Shaper:
    """Makes rows, by the versions of one store. Its methods raise the store's errors, and NotFound for a version that is not released."""

    def __init__(self, store: ObjectStore, registry: Registry, redaction: Redaction) -> None:
        self._store, self._registry, self._redaction = store, registry, redaction
        self._versions: dict[tuple[str, int], Version] = {}
        self._targets, self._looked = frozenset[str](), -math.inf

    def rows(self, request: Request) -> Rows:
        """A row of `objects.ROWS` for each item."""
        version, keep = self._version(request.model, request.version), self._redaction.value
        head = datetime.fromtimestamp(request.seconds, UTC), request.id
        whose = keep(request.subject or None, "subject"), keep(request.key or None, "key"), request.role
        pairs = zip(request.items, request.predictions, strict=True)
        return [
            (*head, place, *whose, _json(keep(*version.named(item))), _json(keep(prediction, version.target)))
            for place, (item, prediction) in enumerate(pairs)
        ]

    def labels(self, told: Told) -> Rows:
        """A row of `objects.LABELS` for each label, or of `UNKNOWN_LABELS`."""
        head, ending = (datetime.fromtimestamp(told.seconds, UTC), told.request_id), ()
        if told.model:
            target = self._version(told.model, told.version).target
        else:
            target, ending = self._redacted_target(), (_json(told.models),)
        values = [_json(self._redaction.value(label, target)) for label in told.labels]
        return [(*head, item, value, *ending) for item, value in enumerate(values)]

    def _version(self, model: str, number: int) -> Version:
        if (model, number) not in self._versions:
            version = open_version(self._store, self._registry, model, number)
            keep_reference(self._store, self._registry, model, number)
            self._versions[model, number] = version
        return self._versions[model, number]

    def _redacted_target(self) -> str:
        """Nobody knows what such labels are of: they may not be kept if any model's may not."""
        names, now = self._redaction.names, time.monotonic()
        if names and now - self._looked > LOOK_SECONDS:
            self._targets, self._looked = all_targets(self._store, self._registry), now
        return next(iter(names & self._targets), "")


def _json(value: Any) -> str:
    """Numbers as floating point, so that equal ones are equal texts."""
    return orjson.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value).decode()
