"""What the workers packed → Parquet objects in the store, one for each model, version and hour."""

import itertools
import logging
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import pyarrow as pa

from storage.objects import ObjectStore
from tasks.captures.objects import LABELS, ROWS, UNKNOWN_LABELS, put_table
from tasks.captures.packed import Request, Rows, Shaper, Told
from tasks.captures.places import Place

log = logging.getLogger(__name__)
_request, _told = msgspec.msgpack.Decoder(Request).decode, msgspec.msgpack.Decoder(Told).decode


@dataclass
class Written:
    """How many requests of which model are stored, and how many could not be."""

    stored: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


class Writer:
    """Writes into one store. Names of objects are its own: no other writer's are like them."""

    def __init__(self, store: ObjectStore, shaper: Shaper) -> None:
        self._store, self._shaper = store, shaper
        self._id, self._numbers = secrets.token_hex(4), itertools.count()

    def write(self, requests: Sequence[bytes], labels: Sequence[bytes]) -> Written:
        """Write what was packed. What cannot be written is logged and counted, never raised: nobody could do better with it."""
        written = Written()
        places: dict[Place, list[Request | Told]] = defaultdict(list)
        for one in (*map(_request, requests), *map(_told, labels)):
            places[one.place].append(one)
        for place, some in places.items():
            try:
                self._put(place, [row for one in some for row in self._rows(one)])
                outcome = written.stored
            except Exception as error:  # noqa: BLE001  whatever is wrong with these, the others are written
                log.error("capture: %d requests of %s are dropped: %s", len(some), place.folder, error)
                outcome = written.dropped
            if not place.labels:
                outcome[place.model] += len(some)
        return written

    def _rows(self, one: Request | Told) -> Rows:
        return self._shaper.rows(one) if isinstance(one, Request) else self._shaper.labels(one)

    def _put(self, place: Place, rows: Rows) -> None:
        schema = (LABELS if place.model else UNKNOWN_LABELS) if place.labels else ROWS
        columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)]
        stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%S")
        key = f"{place.folder}/{stamp}-{self._id}-{next(self._numbers):06d}.parquet"
        put_table(self._store, key, pa.table(columns, schema))
