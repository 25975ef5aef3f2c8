"""Ceph's Debian packages, fetched and unpacked in a folder of ours. Nothing is installed, and the system's package lists stay as they are."""

import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.errors import ConfigError, StorageUnavailable

FETCH = "python -m infra.s3_server fetch"
_PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
# What these depend on for disks, volumes and system services: a server of ours has none of these.
_NOT_NEEDED = re.compile(
    r"sudo|lvm2|liblvm2cmd.*|dmeventd|libdevmapper.*|cryptsetup-bin|gdisk|hdparm|smartmontools|nvme-cli|libnvme.*|parted|libparted.*"
    r"|xfsprogs|libinih.*|logrotate|dmidecode|uuid-runtime|systemd.*|dbus.*|python3-(requests|urllib3|certifi|idna|chardet|charset-normalizer)"
)


def server_folder() -> Path:
    """Where the unpacked server is kept: `MILLRACE_S3_SERVER`, or a folder in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("MILLRACE_S3_SERVER") or cache / "millrace" / "ceph-rgw").absolute()


def unpacked(folder: Path) -> bool:
    """Whether a whole server lies in `folder`."""
    return (folder / "usr" / "bin" / "radosgw").is_file()


def libraries(folder: Path) -> tuple[Path, Path]:
    """The folders of the unpacked server's shared libraries, the one with its plug-ins first."""
    triplet = f"{platform.machine()}-linux-gnu"
    return folder / "usr" / "lib" / triplet, folder / "lib" / triplet


def fetch(folder: Path, seconds: float) -> None:
    """Download (60 MB) and unpack (230 MB) the server into `folder`: whole, or not at all.

    ConfigError where there is no apt or no such package; StorageUnavailable where the mirror does not answer within `seconds`.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ConfigError("S3 server: found no apt-get and dpkg, wanted Debian or Ubuntu; test with another S3 server")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="fetch-", dir=folder.parent) as scratch:
            partial = _unpack(Path(scratch), time.monotonic() + seconds)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    except OSError as error:
        raise ConfigError(
            f"S3 server: {error.strerror}: {error.filename}; set MILLRACE_S3_SERVER to a folder you may write to"
        ) from None


def _unpack(scratch: Path, end: float) -> Path:
    """Packages downloaded into `scratch` and unpacked below it; the folder that holds them all."""
    apt, debs, root = _apt(scratch), scratch / "debs", scratch / "root"
    debs.mkdir()
    _run([*apt, "update"], end, debs)
    planned = _run([*apt, "install", "--simulate", "--no-install-recommends", *_PACKAGES], end, debs)
    names = re.findall(r"^Inst (\S+)", planned, re.MULTILINE)
    wanted = [name for name in names if not _NOT_NEEDED.fullmatch(name)]
    _run([*apt, "download", *(wanted or _PACKAGES)], end, debs)
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg", "-x", str(deb), str(root)], end, debs)
    if not unpacked(root):
        raise ConfigError("S3 server: Debian's packages held no usr/bin/radosgw; Debian 12 is what was tried")
    return root


def _apt(scratch: Path) -> list[str]:
    """apt-get with lists and cache of its own, so that it needs no root and changes nothing."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    settings = {
        "Dir::State": scratch / "state",
        "Dir::Cache": scratch / "cache",
        "Dir::State::status": "/var/lib/dpkg/status",
        "APT::Sandbox::User": "",  # as root, apt would download as a user who may not write here
        "Acquire::Retries": 1,
        "Acquire::http::Timeout": 15,
        "Acquire::https::Timeout": 15,
        "APT::Update::Error-Mode": "any",
    }
    return ["apt-get", "-q", *(f"-o{name}={value}" for name, value in settings.items())]


def _run(command: list[str], end: float, folder: Path) -> str:
    """What `command` said on standard output."""
    called = " ".join(word for word in command[:20] if not word.startswith("-"))[:60]
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=max(1.0, end - time.monotonic()), check=False
        )
    except subprocess.TimeoutExpired:
        raise StorageUnavailable(f"S3 server: {called} had not ended in time; try again: {FETCH}") from None
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if line.startswith(("E:", "Err"))] or [ended.stderr.strip()]
        raise StorageUnavailable(
            f"S3 server: {called} failed: {said[0][:200] or ended.returncode}; check the network and apt's sources, then {FETCH}"
        )
    return ended.stdout
