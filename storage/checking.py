"""What a store can do, tried out: each promise that Millrace needs, and how fast it is. Everything written is removed again."""

import hashlib
import os
import ssl
import statistics
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from storage.clouds import CLOUDS
from storage.engines import locate
from storage.errors import ConfigError, MillraceError
from storage.objects import ObjectStore, unproved_store
from storage.probing import probe

SMALL_OBJECTS, SMALL_BYTES = 20, 1024
SLOW_MS, SLOW_MB_S = 100, 5
SKEW_SECONDS = 60  # S3 refuses requests that are 15 minutes off; one minute says that the clock is not kept
SIGNED_SECONDS = 60
SAFE = "disks that are stolen tell nothing"


@dataclass(frozen=True)
class Finding:
    """One thing tried. `state`: good, poor (works, with a drawback) or bad (Millrace cannot work there); `means`: for Millrace."""

    name: str
    state: str
    found: str
    means: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def check_store(url: str, large_mb: int) -> Iterator[Finding]:
    """Try the store at `url`; what was found, in order. Raises what `open_store` raises where nothing can be tried at all."""
    store, folder = unproved_store(url), f"probes/{uuid.uuid4().hex}"
    keys = [f"{folder}/{number:03d}" for number in range(SMALL_OBJECTS)]
    try:
        yield _small(store, "writes", keys, lambda key: store.put(key, _content(key)))
        yield _small(store, "reads", keys, lambda key: _same(store.get(key), _content(key)))
        yield _listing(store, folder, keys)
        yield _commits(store)
        yield _large(store, f"{folder}/large", large_mb)
        yield from _in_a_cloud(store, keys[0])
    finally:
        gone = _removed(store, [*keys, f"{folder}/large"])
    yield gone


def _content(key: str) -> bytes:
    return key.encode() * (SMALL_BYTES // len(key))


def _same(found: bytes, wanted: bytes) -> None:
    if found != wanted:
        raise ConfigError("an object did not come back as it was written")


def _small(store: ObjectStore, name: str, keys: list[str], act: Callable[[str], Any]) -> Finding:
    """Do `act` for each key, one after the other. The first failure of all is raised: there is nothing more to try."""
    times = []
    for key in keys:
        started = time.perf_counter()
        act(key)
        times.append((time.perf_counter() - started) * 1000)
    median, worst = statistics.median(times), max(times)
    slow = median > SLOW_MS
    means = "a step reads and writes tens of these, one after the other" + (": here that takes seconds" if slow else "")
    found = f"{len(keys)} objects of {SMALL_BYTES // 1024} kB, {median:.1f} ms each (slowest {worst:.1f} ms)"
    return Finding(name, "poor" if slow else "good", found, means, {"ms_median": median, "ms_max": worst})


def _listing(store: ObjectStore, folder: str, keys: list[str]) -> Finding:
    started = time.perf_counter()
    seen = [key for key, _ in store.list(folder)]
    figures = {"ms": (time.perf_counter() - started) * 1000, "seen": len(seen)}
    if seen == keys:
        return Finding(
            "listing", "good", f"all {len(seen)} at once", "hits and registries are found by listings", figures
        )
    means = "what was just written would not be found: releases and hits would be missed; use a store with consistent listings"
    return Finding("listing", "bad", f"{len(seen)} of {len(keys)} new objects", means, figures)


def _commits(store: ObjectStore) -> Finding:
    try:
        probe(store)
    except ConfigError as error:
        return Finding("put-if-absent", "bad", "several creators were told that they made one object", str(error))
    return Finding("put-if-absent", "good", "of several creators one succeeds", "no release and no record can be lost")


def _large(store: ObjectStore, key: str, megabytes: int) -> Finding:
    """Up from a file, as shards and models go, and down in pieces."""
    block = os.urandom(1 << 20)
    with TemporaryDirectory() as scratch:
        source = Path(scratch, "large")
        with source.open("wb") as file:
            for number in range(megabytes):
                file.write(number.to_bytes(8, "big") + block[8:])
        started = time.perf_counter()
        store.put(key, source)
        put, started = time.perf_counter() - started, time.perf_counter()
        arrived = hashlib.sha256()
        for chunk in store.chunks(key):
            arrived.update(chunk)
        got = time.perf_counter() - started
        with source.open("rb") as file:
            _same(arrived.digest(), hashlib.file_digest(file, "sha256").digest())
    up, down = (megabytes * 1.048576 / seconds for seconds in (put, got))
    found = f"{megabytes} MiB, {up:.0f} MB/s up, {down:.0f} MB/s down, unchanged"
    slow = min(up, down) < SLOW_MB_S
    means = "shards, weights and reports" + (
        ": a gigabyte would take minutes" if slow else f": a gigabyte in {1000 / min(up, down):.0f} s"
    )
    return Finding("large objects", "poor" if slow else "good", found, means, {"mb_s_up": up, "mb_s_down": down})


def _in_a_cloud(store: ObjectStore, key: str) -> Iterator[Finding]:
    scheme = locate(store.url).scheme
    if not scheme:
        return
    yield _clock(store, key)
    cloud = CLOUDS[scheme]
    yield _transport(os.environ.get(cloud.endpoint, ""), os.environ.get(cloud.ca_file, ""))
    yield _encryption(scheme, _headers(store.signed_url(key, "HEAD", SIGNED_SECONDS), os.environ.get(cloud.ca_file)))


def _clock(store: ObjectStore, key: str) -> Finding:
    store.put(key, _content(key))
    told = store.head(key)
    skew = told.written - time.time() if told else 0.0
    figures = {"seconds": skew}
    if abs(skew) < SKEW_SECONDS:
        return Finding(
            "clock",
            "good",
            f"the store's and this machine's agree (to {abs(skew):.0f} s)",
            "signatures stay valid",
            figures,
        )
    means = (
        "signed requests are refused from 15 minutes on, and records bear wrong times: set this machine's clock by NTP"
    )
    return Finding("clock", "poor", f"the store's is {skew:+.0f} s from this machine's", means, figures)


def _transport(endpoint: str, ca_file: str) -> Finding:
    if endpoint.startswith("http://"):
        means = "whoever is on the way can read and change data: only for one machine or a network you trust"
        return Finding("transport", "poor", f"plain HTTP, {endpoint}", means, {"tls": False})
    found = f"TLS, {endpoint or 'the cloud’s own server'}" + (f", trusting {ca_file}" if ca_file else "")
    return Finding("transport", "good", found, "nobody on the way can read", {"tls": True})


def _encryption(scheme: str, headers: Mapping[str, str] | None) -> Finding:
    """`headers`: of an answer about an object; S3 refuses it where the asker has to bring the key."""
    told = os.environ.get("AWS_SERVER_SIDE_ENCRYPTION", "")
    if scheme != "s3":
        return Finding("encryption", "good", "by the cloud, always", SAFE)
    if headers is None and told == "sse-c":
        return Finding("encryption", "good", "SSE-C: with a key that the server is given each time", SAFE)
    method = (headers or {}).get("x-amz-server-side-encryption", "")
    if not method:
        found = (
            f"{told} was asked for, and the server does not say that it did"
            if told
            else "none that the server tells of"
        )
        means = "who has the server's disks has the data; storage.encryption asks for it, or set the bucket's default"
        return Finding("encryption", "poor", found, means, {"method": ""})
    key = (headers or {}).get("x-amz-server-side-encryption-aws-kms-key-id", "")
    return Finding("encryption", "good", f"{method}{f', key {key}' if key else ''}", SAFE, {"method": method})


def _headers(url: str, ca_file: str | None) -> Mapping[str, str] | None:
    """The headers of an answer to HEAD; None where it was refused."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30, context=context) as answer:
            return {name.lower(): value for name, value in answer.headers.items()}
    except OSError:
        return None


def _removed(store: ObjectStore, keys: list[str]) -> Finding:
    with suppress(MillraceError):
        for key in keys:
            store.delete(key)
        if all(store.size(key) is None for key in keys[:2]):
            return Finding(
                "deletes", "good", "everything written here is gone again", "`probes/` and old work can be cleaned"
            )
    means = "nothing needs it, but what was written here stays below probes/, and nothing old can ever be cleaned"
    return Finding("deletes", "poor", "refused", means)
