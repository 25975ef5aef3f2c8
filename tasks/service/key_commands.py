"""The commands about API keys: create, list, revoke, rotate. `millrace keys` and `python -m tasks.service.keys` are the same.

What changes a key is written to the store's audit log first: an act that cannot be audited is not done. Where no store is named and
there is no default one either, there is nothing to audit in, and the command says so.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import ConfigError, MillraceError, NotFound
from storage.root import data_root, default_storage

if TYPE_CHECKING:
    from tasks.service.keys import Recorder

DAY_SECONDS, HOUR_SECONDS = 86_400.0, 3600.0
MOST_DAYS = 36_500.0


def default_file() -> Path:
    """Where keys are kept if no file is named: in the data root, beside the signing key of stores in a cloud."""
    return data_root() / "keys" / "api-keys.json"


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the four commands."""
    commands = parser.add_subparsers(dest="about", required=True, metavar="COMMAND")
    create = _command(commands, "create", "make a key and show it once")
    create.add_argument(
        "--scope",
        action="append",
        metavar="ACTION:MODEL",
        help="what it may do: predict:MODEL, feedback:MODEL, metrics; several times (default: predict:*)",
    )
    create.add_argument("--days", type=float, metavar="N", help="days until it expires (default: never)")
    create.add_argument("--rate", type=float, metavar="N", help="requests a second at most (default: no limit)")
    create.add_argument("--note", default="", metavar="TEXT", help="whom it is for")
    keys = _command(commands, "list", "list the keys, without their secrets")
    revoke = _command(commands, "revoke", "remove a key")
    rotate = _command(commands, "rotate", "make a key's successor, and let the key expire")
    rotate.add_argument(
        "--grace-hours", type=float, default=24.0, metavar="N", help="how long the old one still counts (default: 24)"
    )
    for command in (revoke, rotate):
        command.add_argument("id", metavar="ID", help="the part of a key before the dot")
    for command in (create, rotate, keys):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _command(commands, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument(
        "--file", type=Path, metavar="FILE", help="the key file (default: keys/api-keys.json in the data root)"
    )
    if name != "list":
        command.add_argument(
            "--storage", metavar="URL", default="", help="the store whose audit log is told (default: .millrace/store)"
        )
    return command


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; the exit code. Raises this project's errors."""
    path = arguments.file or default_file()
    return {"create": _create, "list": _list, "revoke": _revoke, "rotate": _rotate}[arguments.about](arguments, path)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m tasks.service.keys`; the exit code: 0 done, 1 failed, 2 misuse."""
    parser = argparse.ArgumentParser(prog="python -m tasks.service.keys", description="Keys of the prediction service.")
    add_commands(parser)
    try:
        return run(parser.parse_args(argv))
    except MillraceError as error:
        sys.stderr.write(f"millrace: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1


def _create(arguments: argparse.Namespace, path: Path) -> int:
    from tasks.service.keys import create_key

    days, expires = arguments.days, None
    if days is not None:
        if not 0 < days <= MOST_DAYS:
            raise ConfigError(f"--days: found {days:g}, wanted a number above 0, at most {MOST_DAYS:g}")
        expires = datetime.now(UTC) + timedelta(days=days)
    scopes = arguments.scope or ["predict:*"]
    token = create_key(path, scopes, expires, arguments.rate, arguments.note, _recorder(arguments.storage))
    return _show_once(token, path, arguments.json)


def _revoke(arguments: argparse.Namespace, path: Path) -> int:
    from tasks.service.keys import revoke_key

    revoke_key(path, arguments.id, _recorder(arguments.storage))
    sys.stdout.write(f"{arguments.id} is revoked; services refuse it within a minute\n")
    return 0


def _rotate(arguments: argparse.Namespace, path: Path) -> int:
    from tasks.service.keys import rotate_key

    token = rotate_key(path, arguments.id, arguments.grace_hours * HOUR_SECONDS, _recorder(arguments.storage))
    sys.stderr.write(f"{arguments.id} counts for {arguments.grace_hours:g} hours more\n")
    return _show_once(token, path, arguments.json)


def _show_once(token: str, path: Path, as_json: bool) -> int:
    """The key alone on stdout: so that a shell can take it, and nothing else has it."""
    from tasks.service.keys import read_keys

    sys.stderr.write(f"shown once, kept as a hash in {_short(path)}\n")
    key = read_keys(path)[token.partition(".")[0]]
    sys.stdout.write((json.dumps({"key": token, **key.told()}) if as_json else token) + "\n")
    return 0


def _list(arguments: argparse.Namespace, path: Path) -> int:
    from tasks.service.keys import read_keys

    keys = [key.told() for key in read_keys(path).values()]
    if arguments.json:
        sys.stdout.write(json.dumps({"file": str(path), "keys": keys}) + "\n")
        return 0
    rows = [("ID", "SCOPES", "EXPIRES", "A SECOND", "NOTE")]
    for key in keys:
        rate = "any number" if key["rate"] is None else f"{key['rate']:g}"
        rows.append((key["id"], " ".join(key["scopes"]), _expiry(key["expires"]), rate, key["note"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() + "\n")
    return 0


def _expiry(date: str | None) -> str:
    if date is None:
        return "never"
    when = datetime.fromisoformat(date)
    return f"{when:%Y-%m-%d %H:%M}" + (" (past)" if when <= datetime.now(UTC) else "")


def _recorder(url: str) -> "Recorder":
    """What tells the audit log of the store at `url`, or of the default one if it is there."""
    from storage.audit import recorder
    from storage.engines import locate
    from tasks.service.keys import unrecorded

    storage = url or default_storage()
    folder = locate(storage).folder
    if folder is None or folder.is_dir():
        return recorder(storage)
    if url:
        raise NotFound(f"store {folder}: there is no such folder; name another with --storage")
    sys.stderr.write(f"not audited: there is no store {_short(folder)}; name one with --storage\n")
    return unrecorded


def _short(path: Path) -> str:
    """The path as a person in this folder would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
