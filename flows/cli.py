"""The `millrace` command: exit codes, and which part of the house answers. Heavy imports wait until they are needed.

Exit codes: 0 done, 1 failed, 2 misuse, 3 the gate said reject or hold.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from flows.arguments import parser
from storage.errors import ConfigError, MillraceError
from storage.root import data_root
from storage.surroundings import surrounded

DONE, FAILED, MISUSE, NOT_PROMOTED = 0, 1, 2, 3
HISTORY = ("runs", "show", "why", "report")
RELEASE = ("promote", "rollback", "canary", "shadow", "status", "history")
UPKEEP = ("verify", "gc")
DATA = ("quarantine", "contract")
CAPTURES = ("captures", "forget")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return _dispatch(arguments)
    except ConfigError as error:
        return _fail(arguments, error, MISUSE)
    except MillraceError as error:
        return _fail(arguments, error, FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _fail(arguments, MillraceError(f"{error.strerror or error}: {error.filename or 'no file'}"), FAILED)
    except Exception as error:  # noqa: BLE001  what nobody foresaw: still one line
        text = f"{type(error).__name__}: {error}; run again with `millrace --debug …` for the whole story"
        return _fail(arguments, MillraceError(text), FAILED)
    except KeyboardInterrupt:
        print("\nmillrace: stopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def _dispatch(arguments: argparse.Namespace) -> int:
    if arguments.command in ("run", "plan"):
        from flows import cli_run

        return getattr(cli_run, arguments.command)(arguments)
    if arguments.command in ("up", "down", "deploy"):
        from flows import cli_prefect

        return getattr(cli_prefect, arguments.command)(arguments)
    if arguments.command == "keys":
        from tasks.service import key_commands

        return key_commands.run(arguments)
    if arguments.command == "reproduce":
        from flows.cli_reproduce import reproduce_run

        return reproduce_run(arguments, _storage_settings(arguments))
    from flows import cli_history, cli_models, cli_release, cli_storage, cli_upkeep

    # ONNX Runtime writes a file of its own to the user's cache folder, wherever that is
    os.environ.setdefault("XDG_CACHE_HOME", str(data_root() / "cache"))
    with surrounded(_storage_settings(arguments)):
        if arguments.command == "import":
            from flows.cli_import import import_model

            return import_model(arguments)
        if arguments.command == "storage":
            return cli_storage.check(arguments)
        if arguments.command == "audit":
            from flows.cli_audit import audit

            return audit(arguments)
        if arguments.command in DATA:
            module = importlib.import_module(f"flows.cli_{arguments.command}")
            return getattr(module, arguments.command)(arguments)
        if arguments.command in CAPTURES:
            from flows import cli_captures

            return getattr(cli_captures, arguments.command)(arguments)
        answering = ((HISTORY, cli_history), (RELEASE, cli_release), (UPKEEP, cli_upkeep))
        about = next((module for names, module in answering if arguments.command in names), cli_models)
        return getattr(about, arguments.command)(arguments)


def _storage_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """What the configuration file says of the store, as variables; its URL counts where --storage names none."""
    if not getattr(arguments, "config", None):
        return {}
    from flows.settings import load_storage

    section = load_storage(arguments.config)
    arguments.storage = arguments.storage or section.url
    return section.model_copy(update={"url": arguments.storage}).variables()


def _fail(arguments: argparse.Namespace, error: MillraceError, code: int) -> int:
    if arguments.debug:
        traceback.print_exception(error)
    print(f"millrace: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
