"""Every stored byte against its digest, every manifest against its blobs, every log against its signatures."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from storage.errors import ConfigError, CorruptArtifact, NotFound, Untrusted
from storage.manifests import Manifest, from_bytes, manifest_key, read_manifest
from storage.objects import ObjectStore
from storage.records import attempts, read_record
from storage.registry import Registry, check_release_signature
from storage.signing import Keyring

_STEP = re.compile(r"steps/([0-9a-f]{64})/(\d+)\.json")


@dataclass(frozen=True)
class Problem:
    """`key`: the object; `found` and `wanted`: the difference, in words."""

    key: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.key}: found {self.found}, wanted {self.wanted}"


@dataclass
class Report:
    """`objects`, `bytes`: what was read. `nondeterministic`: keys of steps that made different outputs: worth a look, nothing damaged."""

    objects: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    nondeterministic: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "problems": [{"key": p.key, "found": p.found, "wanted": p.wanted} for p in self.problems],
            "nondeterministic": self.nondeterministic,
        }


def verify_store(store: ObjectStore, keyring: Keyring, progress: Callable[[int, int], None] | None = None) -> Report:
    """Read and check the whole store. `progress` is told how many bytes are done, and of how many."""
    sizes = {key: size for key, size in store.list("") if not key.startswith("probes/")}
    report, total = Report(), sum(sizes.values())
    checks = {"blobs": _check_blob, "manifests": _check_manifest, "steps": _check_step, "runs": _check_json}
    for key, size in sizes.items():
        try:
            report.problems += checks.get(key.partition("/")[0], _check_nothing)(store, key, sizes)
        except NotFound:
            report.problems.append(Problem(key, "nothing: it went away meanwhile", "the object"))
        report.objects += 1
        report.bytes += size
        if progress:
            progress(report.bytes, total)
    report.problems += _check_models(store, keyring)
    report.nondeterministic = _nondeterministic(store, sizes)
    return report


def _check_nothing(_store: ObjectStore, _key: str, _sizes: dict[str, int]) -> list[Problem]:
    return []


def _check_blob(store: ObjectStore, key: str, _sizes: dict[str, int]) -> list[Problem]:
    digest = hashlib.sha256()
    for chunk in store.chunks(key):
        digest.update(chunk)
    named = key.rpartition("/")[2].partition(".")[0]
    return [] if digest.hexdigest() == named else [Problem(key, f"SHA-256 {digest.hexdigest()}", "the one in its name")]


def _check_manifest(store: ObjectStore, key: str, sizes: dict[str, int]) -> list[Problem]:
    digest, content = key.rpartition("/")[2].removesuffix(".json"), store.get(key)
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        return [Problem(key, f"SHA-256 {found}", "the one in its name")]
    try:
        manifest = from_bytes(content)
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        return [Problem(key, f"{type(error).__name__} {error}", "a manifest")]
    return list(_missing(key, manifest, sizes))


def _missing(key: str, manifest: Manifest, sizes: dict[str, int]) -> Iterable[Problem]:
    for name, blob in manifest.files.items():
        size = sizes.get(blob.key)
        if size != blob.size:
            found = "no such blob" if size is None else f"{size} bytes"
            yield Problem(blob.key, found, f"{blob.size} bytes: {name} of {manifest.kind} {key}")


def _check_step(store: ObjectStore, key: str, sizes: dict[str, int]) -> list[Problem]:
    match = _STEP.fullmatch(key)
    record = read_record(store, match[1], int(match[2])) if match else None
    if record is None:
        return [Problem(key, "what cannot be read", "a record of that step")]
    if manifest_key(record.output.digest) not in sizes:
        return [Problem(key, "a record whose output is gone", f"manifest {record.output.digest}")]
    return []


def _check_json(store: ObjectStore, key: str, _sizes: dict[str, int]) -> list[Problem]:
    try:
        json.loads(store.get(key))
    except ValueError as error:
        return [Problem(key, str(error), "JSON")]
    return []


def _check_models(store: ObjectStore, keyring: Keyring) -> list[Problem]:
    registry, problems = Registry(store, keyring), []
    for name in registry.names():
        try:
            for entry in registry.entries(name):
                if entry.action == "register":
                    check_release_signature(keyring, entry)
                    read_manifest(store, entry.fields["release"])
                    read_manifest(store, entry.fields["artifact"])
        except (Untrusted, NotFound, CorruptArtifact, ConfigError) as error:
            problems.append(Problem(f"models/{name}/log", str(error), "a whole log of trusted entries"))
    return problems


def _nondeterministic(store: ObjectStore, sizes: dict[str, int]) -> list[str]:
    keys = [match[1] for match in map(_STEP.fullmatch, sizes) if match]
    return [key for key, records in sorted(Counter(keys).items()) if records > 1 and len(outputs(store, key)) > 1]


def outputs(store: ObjectStore, key: str) -> set[str]:
    """The digests of everything that runs of this step made; more than one means that the step is not deterministic."""
    records = (read_record(store, key, attempt) for attempt in attempts(store, key))
    return {record.output.digest for record in records if record}
