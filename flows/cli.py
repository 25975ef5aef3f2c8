"""The `millrace` command: arguments, exit codes, and which part of the house answers. Heavy imports wait until they are needed.

Exit codes: 0 done, 1 failed, 2 misuse, 3 the gate said reject or hold.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from storage.errors import ConfigError, MillraceError
from storage.root import data_root
from storage.surroundings import surrounded

DONE, FAILED, MISUSE, NOT_PROMOTED = 0, 1, 2, 3


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
    except KeyboardInterrupt:
        print("\nmillrace: stopped. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="millrace", description="From data in a bucket to a served model.")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_prefect(commands)
    _add_registry(commands)
    _add_serving(commands)
    _add_storage(commands)
    verify = _command(commands, "verify", "check every stored byte against its digest")
    verify.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return top


def _command(commands, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument(
        "--storage", metavar="URL", default="", help="folder, s3://…, gs://… or az://… (default: .millrace/store)"
    )
    if name != "run":  # which has its own, of which every section counts
        command.add_argument("--config", metavar="FILE", help="a run's YAML file, whose storage section counts here")
    command.set_defaults(parser=command)
    return command


def _add_run(commands) -> None:
    run = _command(commands, "run", "run the whole chain: prepare, train, compress, evaluate, release")
    run.add_argument(
        "what",
        nargs="?",
        metavar="PRESET|FILE",
        help="a preset's name (see `millrace presets`), or a file, folder or URL of your own",
    )
    run.add_argument("--target", metavar="COLUMN", default="", help="your own file: the column to predict")
    run.add_argument("--text", metavar="COLUMN", default="", help="your own file: the column of texts to learn from")
    run.add_argument("--name", metavar="NAME", default="", help="your own file: the model's name (default: the file's)")
    run.add_argument("--config", metavar="FILE", help="a YAML file with a whole or partial configuration")
    run.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change one nested value: --set train.epochs=3"
    )
    run.add_argument("--cluster", metavar="WHERE", help="local, cuda, kubernetes, or a Dask scheduler's address")
    run.add_argument("--json", action="store_true", help="one JSON object on stdout, logs on stderr")
    presets = commands.add_parser("presets", help="list the presets", description="List the presets.")
    presets.add_argument("--show", metavar="PRESET", help="print one preset's whole configuration as YAML")


def _add_prefect(commands) -> None:
    up = commands.add_parser(
        "up",
        help="start a Prefect server with its UI and a worker in the background",
        description="Start a Prefect server with its UI, the deployments and a worker, in the background.",
    )
    up.add_argument("--port", type=int, help="the server's port (default: 4200, or the next free one)")
    deploy = commands.add_parser(
        "deploy",
        help="tell another Prefect server the work pools, deployments and automations",
        description="Tell another Prefect server the work pools, deployments and automations; `up` does it for its own.",
    )
    deploy.add_argument("--api", metavar="URL", help="the server's API (default: PREFECT_API_URL)")
    commands.add_parser("down", help="stop what `up` started", description="Stop what `up` started, and its runs.")


def _add_registry(commands) -> None:
    models = _command(commands, "models", "list the released models, or one model's versions")
    models.add_argument("name", nargs="?", metavar="NAME")
    models.add_argument("--json", action="store_true", help="one JSON object on stdout")
    promote = _command(commands, "promote", "point a model's alias at a version")
    promote.add_argument("name", metavar="NAME")
    promote.add_argument("version", metavar="VERSION", type=int)
    promote.add_argument("--alias", default="champion")
    rollback = _command(commands, "rollback", "point a model's alias back at the version before")
    rollback.add_argument("name", metavar="NAME")
    rollback.add_argument("--alias", default="champion")


def _add_serving(commands) -> None:
    predict = _command(commands, "predict", "predict the items of a file with a released model")
    predict.add_argument("name", metavar="NAME")
    predict.add_argument(
        "--input", metavar="FILE", required=True, help="JSON list, JSON lines or CSV; - for standard input"
    )
    predict.add_argument("--alias", default="champion")
    complete = _command(commands, "complete", "go on with a text, by a released language model")
    complete.add_argument("name", metavar="NAME")
    complete.add_argument("prompt", metavar="TEXT", help="how the text begins; - for standard input")
    complete.add_argument("--max-tokens", type=int, default=64, metavar="N", help="tokens to write (default: 64)")
    complete.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0: the most probable text")
    complete.add_argument("--seed", type=int, default=0, help="another number gives another text, above temperature 0")
    complete.add_argument("--alias", default="champion")
    serve = _command(commands, "serve", "serve a released model over HTTP, following its alias")
    serve.add_argument("name", metavar="NAME")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--alias", default="champion")
    serve.add_argument(
        "--keys", metavar="FILE", help="file of hashed API keys; make one with python -m tasks.service.keys"
    )
    serve.add_argument("--no-auth", action="store_true", help="ask for no key; only on the loopback address")


def _add_storage(commands) -> None:
    storage = commands.add_parser(
        "storage", help="find out what a store can do", description="Find out what a store can do."
    )
    check = storage.add_subparsers(dest="about", required=True, metavar="COMMAND").add_parser(
        "check", help="try it: reads, writes, commits, speed, clock, encryption", description="Try a store."
    )
    check.add_argument(
        "storage", metavar="URL", nargs="?", default="", help="default: what --config says, or .millrace/store"
    )
    check.add_argument("--config", metavar="FILE", help="a run's YAML file, whose storage section counts here")
    check.add_argument("--large-mb", type=int, default=32, metavar="N", help="size of the large object (default: 32)")
    check.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _dispatch(arguments: argparse.Namespace) -> int:
    if arguments.command == "run":
        from flows.cli_run import run_pipeline

        return run_pipeline(arguments)
    if arguments.command in ("up", "down", "deploy"):
        from flows import cli_prefect

        return getattr(cli_prefect, arguments.command)(arguments)
    from flows import cli_models, cli_storage

    # ONNX Runtime writes a file of its own to the user's cache folder, wherever that is
    os.environ.setdefault("XDG_CACHE_HOME", str(data_root() / "cache"))
    with surrounded(_storage_settings(arguments)):
        if arguments.command == "storage":
            return cli_storage.check(arguments)
        return getattr(cli_models, arguments.command)(arguments)


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
