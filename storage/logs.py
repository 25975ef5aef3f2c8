"""Are the logs whole? Gaps, changed and foreign entries, versions whose files are gone, aliases of versions that never were.

That the last entries of a log were taken away cannot be seen in it. It is seen where a run says that it released a version which the
log does not have.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from storage.audit import AUDIT, check_log
from storage.entries import Entry, entry_key
from storage.errors import ConfigError, CorruptArtifact, NotFound, Untrusted
from storage.manifests import read_manifest
from storage.objects import ObjectStore
from storage.problems import Problem
from storage.registry import Registry, check_release_signature
from storage.signing import Keyring


def check_logs(
    store: ObjectStore, keyring: Keyring, registry: Registry, releases: Iterable[tuple[str, Mapping[str, Any]]]
) -> list[Problem]:
    """What is wrong with the logs. `releases`: by the run's key the `model`, `version` and `digest` that it says it released."""
    problems: list[Problem] = []
    versions: dict[str, dict[int, str]] = {}
    if audit := check_log(store, keyring, AUDIT).problem:
        problems.append(Problem(AUDIT.folder, audit, "a whole log of trusted entries"))
    for name in registry.names():
        try:
            entries = registry.entries(name)
        except (Untrusted, NotFound, ConfigError) as error:
            problems.append(Problem(f"models/{name}/log", str(error), "a whole log of trusted entries"))
            continue
        problems += _check_entries(store, keyring, name, entries)
        registered = (entry.fields for entry in entries if entry.action == "register")
        versions[name] = {fields["version"]: fields["artifact"] for fields in registered}
    broken = {problem.key for problem in problems}
    for run, release in releases:
        log = f"models/{release['model']}/log"
        if log not in broken and versions.get(release["model"], {}).get(release["version"]) != release["digest"]:
            wanted = (
                f"version {release['version']}, {release['digest']}: {run} released it; restore the log from a backup"
            )
            problems.append(Problem(log, "a log without it: its end was taken away", wanted))
    return problems


def _check_entries(store: ObjectStore, keyring: Keyring, name: str, entries: Sequence[Entry]) -> Iterator[Problem]:
    known: set[int] = set()
    for entry in entries:
        fields, key = entry.fields, entry_key(name, entry.index)
        if entry.action == "register":
            known.add(fields["version"])
            yield from _check_version(store, keyring, name, entry)
            continue
        for number in sorted({fields["version"], fields.get("left")} - known - {None}):
            yield Problem(key, f"alias {fields['alias']!r} of version {number}", f"one of versions {sorted(known)}")


def _check_version(store: ObjectStore, keyring: Keyring, name: str, entry: Entry) -> Iterator[Problem]:
    try:
        check_release_signature(keyring, entry)
        read_manifest(store, entry.fields["release"])
        read_manifest(store, entry.fields["artifact"])
    except (Untrusted, NotFound, CorruptArtifact, ConfigError) as error:
        yield Problem(f"models/{name}/log", str(error), "a whole log of trusted entries")
