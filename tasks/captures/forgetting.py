"""Erasing a subject: no captured object holds its rows, or the labels of its requests, any more.

Labels go first: as long as a row is there its request's labels can be found, so that whoever was killed in the middle runs it again.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from storage.clock import store_now
from storage.errors import ConfigError, NotFound
from storage.leases import hold_lease
from storage.leftovers import find_leftovers
from storage.objects import ObjectStore
from tasks.captures.objects import get_table, get_tables, pc, put_table
from tasks.captures.places import FOLDER, Captured, captured, unknown_labels
from tasks.captures.redaction import REDACTED

SUBJECT_CHARACTERS = 200  # as many as the service keeps
ABANDONED_SECONDS = 600.0  # a write takes seconds: what is older was left by a killed writer
N, R, P = 2**14, 8, 1  # RFC 7914 §2: whom an entry of the audit log is about can be confirmed, hardly guessed
Record = Callable[[dict[str, object]], object]


@dataclass(frozen=True)
class Erasure:
    """`rows` in `files`, and `labels` in `label_files`, that were erased or would be; `nameless` rows have no subject that could be found."""

    rows: int
    files: int
    labels: int
    label_files: int
    nameless: int


def forget(
    store: ObjectStore, model: str, subject: str, record: Record | None, waiting: Callable[[], None] = lambda: None
) -> Erasure:
    """Erase all captured rows of `subject`. `record` is told first, and may refuse by raising; without it nothing is changed.

    `waiting` is called where another erasure is under way. ConfigError for no subject, and for a store that may only be read.
    """
    wanted = subject.strip()[:SUBJECT_CHARACTERS]
    if not wanted:
        raise ConfigError("subject: found an empty text, wanted what X-Subject said in the requests")
    if record is None:
        return _Search(store, model, wanted).erasure()
    with hold_lease(store, "forget", waiting) as lease:  # of two at once one would write back what the other took out
        if lease is None:
            raise ConfigError(f"store {store.url}: may only be read; wanted the right to write and delete there")
        search = _Search(store, model, wanted)
        erasure = search.erasure()
        record(
            {"model": model, **_hashed(wanted), "rows": erasure.rows, "files": erasure.files, "labels": erasure.labels}
        )
        for one in search.label_objects:
            _rewrite(store, one, lambda table: pc.is_in(table["request_id"], value_set=search.request_ids))
        for one in search.objects:
            _rewrite(store, one, lambda table: pc.equal(table["subject"], wanted))
        remove_abandoned(store)
    return erasure


class _Search:
    """What there is of a subject."""

    def __init__(self, store: ObjectStore, model: str, subject: str) -> None:
        every = list(captured(store, model))
        self.objects: list[Captured] = []
        self.label_objects: list[Captured] = []
        self._rows = self._labels = self._nameless = 0
        ids = set[str]()
        for one, table in get_tables(store, [one for one in every if not one.place.labels], ["request_id", "subject"]):
            of_subject = table.filter(pc.equal(table["subject"], subject))
            self._nameless += pc.sum(_is_nameless(table["subject"])).as_py() or 0
            if of_subject.num_rows:
                self.objects.append(one)
                self._rows += of_subject.num_rows
                ids |= set(of_subject["request_id"].to_pylist())
        self.request_ids = pa.array(sorted(ids), pa.string())
        labels = [*(one for one in every if one.place.labels), *unknown_labels(store)] if ids else []
        for one, table in get_tables(store, labels, ["request_id"]):
            if found := pc.sum(pc.is_in(table["request_id"], value_set=self.request_ids)).as_py():
                self.label_objects.append(one)
                self._labels += found

    def erasure(self) -> Erasure:
        """In numbers."""
        return Erasure(self._rows, len(self.objects), self._labels, len(self.label_objects), self._nameless)


def _is_nameless(subjects: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where there is no subject, or one that a pattern of the redaction has changed."""
    return pc.fill_null(pc.match_substring(subjects, REDACTED), True)


def remove_abandoned(store: ObjectStore) -> None:
    """Remove what killed writers left half written: it holds rows, and no listing shows it."""
    for leftover in find_leftovers(store, store_now(store) - ABANDONED_SECONDS):
        if leftover.key.startswith(f"{FOLDER}/"):
            leftover.remove()


def _rewrite(store: ObjectStore, one: Captured, goes: Callable[[pa.Table], pa.Array]) -> None:
    """Take rows out of an object; one without any others goes whole."""
    try:
        table = get_table(store, one.key)
    except NotFound:
        return
    kept = table.filter(pc.invert(pc.fill_null(goes(table), False)))
    if kept.num_rows:
        put_table(store, one.key, kept)
        return
    store.delete(one.key)
    store.remove_empty(one.place.folder)


def _hashed(subject: str) -> dict[str, str]:
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(subject.encode(), salt=salt, n=N, r=R, p=P, dklen=32, maxmem=2**26)
    return {"subject": f"scrypt${salt.hex()}${digest.hex()}"}
