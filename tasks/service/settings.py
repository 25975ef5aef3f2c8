"""What a service is told in a YAML file beside its options: limits, certificates, capture."""

import difflib
import math
import re
from pathlib import Path
from typing import Any

import msgspec

from storage.errors import ConfigError
from tasks.service.limits import Limits


class CaptureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`share` of the requests is kept; `buffer`: requests a worker holds before more are dropped; `buffer_mib`: mebibytes that a worker, and
    then the recorder, holds. `redact`: names of columns whose values are not kept, also `subject` and `key`; `patterns`: regular expressions
    whose matches in texts are not. `seconds`: the longest between two files. `keep_days`: how long files stay, 0 for ever.
    """

    share: float = 0.0
    buffer: int = 8192
    buffer_mib: float = 64.0
    redact: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    seconds: float = 10.0
    keep_days: float = 30.0


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files; they are read again when they change."""

    certificate: str
    key: str


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. `workers`: processes, 0 for one a core. `poll_seconds`: between looks at the registry."""

    limits: Limits = Limits()
    capture: CaptureSettings = CaptureSettings()
    tls: TlsSettings | None = None
    workers: int = 0
    poll_seconds: float = 0.5


def load_settings(path: Path | None, changes: dict[str, Any]) -> Settings:
    """The file's settings with `changes` by dotted name; ConfigError names what cannot be used."""
    data: dict[str, Any] = {}
    if path is not None:
        import yaml  # only where there is a file

        try:
            data = yaml.safe_load(path.read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"settings file {path}: {error}; wanted a YAML file") from None
        if not isinstance(data, dict):
            raise ConfigError(f"settings file {path}: found {type(data).__name__}, wanted sections such as limits:")
    for name, value in changes.items():
        section, _, field = name.rpartition(".")
        (data.setdefault(section, {}) if section else data)[field] = value
    try:
        settings = msgspec.convert(data, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings{f' file {path}' if path else ''}: {error}{_nearest(str(error))}") from None
    _check(settings)
    return settings


def _nearest(message: str) -> str:
    unknown = message.partition("unknown field `")[2].partition("`")[0]
    names = [name for struct in (Settings, Limits, CaptureSettings, TlsSettings) for name in struct.__struct_fields__]
    near = difflib.get_close_matches(unknown, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check(settings: Settings) -> None:
    limits = settings.limits
    for name in limits.__struct_fields__:
        if getattr(limits, name) < 0 or (name != "memory_mib" and not getattr(limits, name)):
            raise ConfigError(f"limits.{name}: found {getattr(limits, name)}, wanted a number above 0")
    _check_capture(settings.capture)
    if not 0 <= settings.workers <= 256:
        raise ConfigError(f"workers: found {settings.workers}, wanted 1 to 256, or 0 for one a core")
    if settings.poll_seconds <= 0:
        raise ConfigError(f"poll_seconds: found {settings.poll_seconds:g}, wanted a number above 0")


def _check_capture(capture: CaptureSettings) -> None:
    if not 0 <= capture.share <= 1:
        raise ConfigError(f"capture.share: found {capture.share}, wanted 0 (off) to 1 (every request)")
    for name in ("buffer", "buffer_mib", "seconds"):
        if not 0 < getattr(capture, name) < math.inf:
            raise ConfigError(f"capture.{name}: found {getattr(capture, name)}, wanted a number above 0")
    if not 0 <= capture.keep_days < math.inf:
        raise ConfigError(f"capture.keep_days: found {capture.keep_days}, wanted days, or 0 for ever")
    for pattern in capture.patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(
                f"capture.patterns: found {pattern!r} ({error}), wanted regular expressions as Python has them"
            ) from None
