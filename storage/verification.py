"""Every stored byte against its digest, every reference against what it names, every log against its signatures."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from storage.blobs import Blob
from storage.encryption import opened
from storage.errors import ConfigError, CorruptArtifact, NotFound, Untrusted
from storage.logs import check_logs
from storage.manifests import from_bytes, manifest_key
from storage.marking import in_use, released
from storage.naming import Names, Survey, Unreadable, bears, blobs_in, plain
from storage.objects import Listed, ObjectStore
from storage.problems import Problem
from storage.records import attempts, read_record
from storage.registry import Registry
from storage.sealed_blobs import fits
from storage.signing import Keyring

_STEP = re.compile(r"steps/([0-9a-f]{64})/(\d+)\.json")
_PARALLEL = 8
_PASSING = ("leases", "probes", "damaged", "shards")  # may go at any moment, and rightly
_COLLECTED = ("runs", "shards", "steps", "manifests", "blobs")


@dataclass
class Report:
    """`kinds`: number and bytes of what was read, by kind; `orphans`: of what nothing names, None where that cannot be told.

    `nondeterministic`: keys of steps that made different outputs: worth a look, nothing damaged.
    """

    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    orphans: dict[str, tuple[int, int]] | None = None
    nondeterministic: list[str] = field(default_factory=list)

    @property
    def objects(self) -> int:
        """How many objects were read."""
        return sum(number for number, _ in self.kinds.values())

    @property
    def bytes(self) -> int:
        """How many bytes were read."""
        return sum(size for _, size in self.kinds.values())

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "kinds": _told(self.kinds),
            "problems": [asdict(problem) for problem in self.problems],
            "orphans": None if self.orphans is None else _told(self.orphans),
            "nondeterministic": self.nondeterministic,
        }


def verify_store(store: ObjectStore, keyring: Keyring, progress: Callable[[int, int], None] | None = None) -> Report:
    """Read and check the whole store. `progress` is told how many bytes are done, and of how many."""
    survey = Survey(store)
    items = [item for item in survey.items.values() if not item.key.startswith("probes/")]
    report, total, done = Report(_counted(items)), sum(item.size for item in items), 0
    checks = _Checks(store, survey)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for item, problems in zip(items, pool.map(checks.check, items), strict=True):
            report.problems += problems
            done += item.size
            if progress:
                progress(done, total)
    registry = Registry(store, keyring)
    report.problems += check_logs(store, keyring, registry, checks.releases)
    report.orphans = _orphans(store, survey, registry)
    report.nondeterministic = _nondeterministic(store, survey)
    return report


class _Checks:
    """The check for each kind of object. `releases`: what runs say that they released, for the check of the logs."""

    def __init__(self, store: ObjectStore, survey: Survey) -> None:
        self._store, self._survey = store, survey
        self.releases: list[tuple[str, dict[str, Any]]] = []

    def check(self, item: Listed) -> list[Problem]:
        """What is wrong with one object, and with what it names."""
        folder = item.key.partition("/")[0]
        try:
            return list(getattr(self, f"_{folder}", self._anything)(item.key))
        except NotFound:
            gone = Problem(item.key, "nothing: it went away meanwhile", "the object")
            return [] if folder in _PASSING else [gone]

    def _anything(self, _key: str) -> Iterator[Problem]:
        yield from ()

    def _blobs(self, key: str) -> Iterator[Problem]:
        digest = hashlib.sha256()
        try:
            for chunk in opened(self._store.chunks(key), key):
                digest.update(chunk)
        except CorruptArtifact as error:
            yield Problem(key, str(error), "a whole encrypted form")
            return
        if digest.hexdigest() != bears(key):
            yield Problem(key, f"SHA-256 {digest.hexdigest()}", "the one in its name")

    def _manifests(self, key: str) -> Iterator[Problem]:
        content = self._store.get(key)
        found = hashlib.sha256(content).hexdigest()
        if found != bears(key):
            yield Problem(key, f"SHA-256 {found}", "the one in its name")
            return
        try:
            manifest = from_bytes(content)
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            yield Problem(key, f"{type(error).__name__} {error}", "a manifest")
            return
        for name, blob in manifest.files.items():
            yield from self._missing(blob, f"{name} of {manifest.kind} {key}")

    def _steps(self, key: str) -> Iterator[Problem]:
        match = _STEP.fullmatch(key)
        record = read_record(self._store, match[1], int(match[2])) if match else None
        if record is None:
            yield Problem(key, "what cannot be read", "a record of that step")
            return
        if self._size(manifest_key(record.output.digest)) is None:
            yield Problem(key, "a record whose output is gone", f"manifest {record.output.digest}")
        if record.parts:
            yield from self._missing(record.parts, f"parts of the key of {key}")

    def _runs(self, key: str) -> Iterator[Problem]:
        try:
            run = json.loads(self._store.get(key))
            steps = [step for step in run.get("steps", []) if step.get("output")]
        except (ValueError, AttributeError) as error:
            yield Problem(key, str(error), "JSON of a run")
            return
        for blob in blobs_in(run):
            yield from self._missing(blob, f"named by {key}")
        for step in steps:
            if self._size(manifest_key(step["output"])) is None:
                yield Problem(key, f"an output of step {step['name']} that is gone", f"manifest {step['output']}")
            if step.get("key") and not self._survey.bearing.get(step["key"]) and not attempts(self._store, step["key"]):
                yield Problem(key, f"no record of step {step['name']}", f"one in steps/{step['key']}")
        release = (run.get("summary") or {}).get("release") or {}
        if release.get("version") is not None:
            self.releases.append((key, release))

    def _shards(self, key: str) -> Iterator[Problem]:
        content = self._store.get(key)
        packed = re.search(r"/pack-([0-9a-f]{64})\.", key)
        found = hashlib.sha256(content).hexdigest()
        if packed and packed[1] != found:
            yield Problem(key, f"SHA-256 {found}", "the one in its name")
            return
        try:
            results = json.loads(plain(key, content))
        except ValueError as error:
            yield Problem(key, str(error), "results of shards; its shards are computed again")
            return
        for blob in blobs_in(results):
            yield from self._missing(blob, f"named by {key}; its shard is computed again")

    def _leases(self, key: str) -> Iterator[Problem]:
        try:
            json.loads(self._store.get(key))
        except ValueError as error:
            yield Problem(key, str(error), "JSON of a lease; it goes when it is old")

    def _missing(self, blob: Blob, what: str) -> Iterator[Problem]:
        size = self._size(blob.key)
        if size is None or not fits(blob.size, size):
            found = "no such blob" if size is None else f"{size} bytes"
            yield Problem(blob.key, found, f"{blob.size} bytes: {what}")

    def _size(self, key: str) -> int | None:
        """Asked for where the listing did not have it: it may have been written while that went on."""
        listed = self._survey.items.get(key)
        return listed.size if listed else self._store.size(key)


def _orphans(store: ObjectStore, survey: Survey, registry: Registry) -> dict[str, tuple[int, int]] | None:
    try:
        used = in_use(survey, Names(store), released(registry), dropped=set(), live=False, young=set())
    except (Unreadable, Untrusted):
        return None
    return _counted(item for item in survey.below(*_COLLECTED) if item.key not in used)


def _counted(items: Iterable[Listed]) -> dict[str, tuple[int, int]]:
    kinds: dict[str, tuple[int, int]] = {}
    for item in items:
        kind = item.key.partition("/")[0]
        number, size = kinds.get(kind, (0, 0))
        kinds[kind] = number + 1, size + item.size
    return kinds


def _told(kinds: dict[str, tuple[int, int]]) -> dict[str, Any]:
    return {kind: {"objects": number, "bytes": size} for kind, (number, size) in kinds.items()}


def _nondeterministic(store: ObjectStore, survey: Survey) -> list[str]:
    keys = [match[1] for match in map(_STEP.fullmatch, survey.items) if match]
    return [key for key, records in sorted(Counter(keys).items()) if records > 1 and len(outputs(store, key)) > 1]


def outputs(store: ObjectStore, key: str) -> set[str]:
    """The digests of everything that runs of this step made; more than one means that the step is not deterministic."""
    records = (read_record(store, key, attempt) for attempt in attempts(store, key))
    return {record.output.digest for record in records if record}
