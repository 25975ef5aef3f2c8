"""The arguments of the `millrace` command."""

import argparse

from flows.arguments_release import add_release
from tasks.service.key_commands import add_commands


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="millrace", description="From data in a bucket to a served model.")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_plan(commands)
    _add_history(commands)
    _add_data(commands)
    _add_prefect(commands)
    _add_registry(commands)
    add_release(commands, _command)
    _add_import(commands)
    _add_serving(commands)
    _add_access(commands)
    _add_captures(commands)
    _add_storage(commands)
    _add_upkeep(commands)
    return top


def _command(commands, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument(
        "--storage", metavar="URL", default="", help="folder, s3://…, gs://… or az://… (default: .millrace/store)"
    )
    if name not in ("run", "plan"):  # which have their own, of which every section counts
        command.add_argument("--config", metavar="FILE", help="a run's YAML file, whose storage section counts here")
    command.set_defaults(parser=command)
    return command


def _add_run(commands) -> None:
    run = _command(commands, "run", "run the whole chain: prepare, train, compress, evaluate, release")
    _add_what(run)
    run.add_argument("--cluster", metavar="WHERE", help="local, cuda, kubernetes, or a Dask scheduler's address")
    run.add_argument("--force", action="store_true", help="run every step, also what is found in the store")
    run.add_argument("--json", action="store_true", help="one JSON object on stdout, logs on stderr")
    presets = commands.add_parser("presets", help="list the presets", description="List the presets.")
    presets.add_argument("--show", metavar="PRESET", help="print one preset's whole configuration as YAML")


def _add_what(command) -> None:
    """What is to be run, and how it is changed."""
    command.add_argument(
        "what",
        nargs="?",
        metavar="PRESET|FILE",
        help="a preset's name (see `millrace presets`), or a file, folder or URL of your own",
    )
    command.add_argument("--target", metavar="COLUMN", default="", help="your own file: the column to predict")
    command.add_argument(
        "--text", metavar="COLUMN", default="", help="your own file: the column of texts to learn from"
    )
    command.add_argument(
        "--name", metavar="NAME", default="", help="your own file: the model's name (default: the file's)"
    )
    command.add_argument("--config", metavar="FILE", help="a YAML file with a whole or partial configuration")
    command.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change one nested value: --set train.epochs=3"
    )
    command.add_argument("--verify", action="store_true", help="hash every byte of what is found, not a share of it")


def _add_plan(commands) -> None:
    plan = _command(commands, "plan", "say what a run would compute, and why, without running it")
    _add_what(plan)
    plan.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_history(commands) -> None:
    runs = _command(commands, "runs", "list the runs, the latest first")
    runs.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20; 0: all)")
    show = _command(commands, "show", "what one run did, step by step, and what it cost")
    why = _command(commands, "why", "why the steps of a run ran, or which run made what was found")
    report = _command(commands, "report", "draw a run's report, and say where it is")
    reproduce = _command(commands, "reproduce", "make a run again by its own stored source, and compare every step")
    reproduce.add_argument(
        "--environment",
        choices=("same", "new"),
        default="",
        help="same: with the libraries that are here; new: with those of the run's lock file, installed for it alone",
    )
    reproduce.add_argument("--keep", action="store_true", help="keep the folder in which it is made again")
    for command in (show, why, report, reproduce):
        command.add_argument("run", metavar="RUN", help="a run's id, the beginning of one, or `last`")
    why.add_argument("step", nargs="?", default="", metavar="STEP", help="one step, such as train or 'compress int8'")
    for command in (runs, show, why, reproduce):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_data(commands) -> None:
    refused = _command(commands, "quarantine", "the rows that a run refused, by rule; or run through again after a fix")
    contract = _command(commands, "contract", "the rules that a data set fulfils, as YAML to be changed and enforced")
    for command in (refused, contract):
        command.add_argument("what", metavar="WHAT", help="a run's id or `last`, a pipeline, or a data set's digest")
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    refused.add_argument("--rule", metavar="RULE", default="", help="only what this rule refused, as it is named there")
    refused.add_argument("--limit", type=int, default=3, metavar="N", help="examples of each rule (default: 3)")
    refused.add_argument("--export", metavar="FILE", default="", help="write the rows to FILE.parquet or FILE.csv")
    refused.add_argument(
        "--replay",
        action="store_true",
        help="read the rows again as files and configuration are today; changes nothing",
    )
    refused.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="replay with another value, after --config"
    )
    contract.add_argument("--write", metavar="FILE", default="", help="write it to a YAML file, for data.contract")


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


def _add_import(commands) -> None:
    model = _command(commands, "import", "make a model that was made elsewhere a version like our own")
    model.add_argument("name", metavar="NAME", help="the model's name in the registry")
    model.add_argument(
        "file", metavar="FILE", help="ONNX, skops (scikit-learn), or safetensors with model.json beside it"
    )
    model.add_argument(
        "--sample", metavar="FILE", default="", help="rows to try it on: CSV, JSON, JSON lines or Parquet"
    )
    model.add_argument(
        "--data", metavar="FILE", default="", help="labelled rows, by which the gate decides; a sample, too"
    )
    model.add_argument("--target", metavar="COLUMN", default="", help="the column with the right answers")
    model.add_argument(
        "--columns", metavar="A,B,…", default="", help="what goes in, in the model's order (default: all others)"
    )
    model.add_argument("--classes", metavar="A,B,…", default="", help="the classes' names, in the order of the outputs")
    model.add_argument(
        "--task", choices=("classification", "regression"), default="", help="if it is not guessed right"
    )
    model.add_argument(
        "--outputs", choices=("logits", "probabilities"), default="", help="if they are not guessed right"
    )
    model.add_argument(
        "--mean", metavar="M,M,M", default="", help="images: means that the model wants taken off pixels of 0 to 1"
    )
    model.add_argument("--std", metavar="S,S,S", default="", help="images: deviations to divide them by")
    model.add_argument(
        "--minimum",
        type=float,
        metavar="X",
        help="accuracy at least, or RMSE at most (default: better than a constant)",
    )
    model.add_argument(
        "--margin", type=float, metavar="X", help="how much worse than the champion it may be (default: by the rows)"
    )
    model.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="X",
        help="greatest difference from the original (default: 1e-4)",
    )
    model.add_argument("--promote", action="store_true", help="without labelled rows: point the alias at it unjudged")
    model.add_argument("--alias", default="champion")
    model.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_serving(commands) -> None:
    predict = _command(commands, "predict", "predict the items of a file with a released model")
    predict.add_argument("name", metavar="NAME")
    given = predict.add_mutually_exclusive_group(required=True)
    given.add_argument("--input", metavar="FILE", help="JSON list, JSON lines or CSV; - for standard input")
    given.add_argument(
        "--batch", metavar="SOURCE", nargs="+", help="Parquet, CSV or TSV: files, folders, globs or URLs, of any size"
    )
    predict.add_argument("--alias", default="champion")
    predict.add_argument("--version", type=int, metavar="N", help="this version, whatever the alias points at")
    _add_batch(predict.add_argument_group("with --batch"))
    complete = _command(commands, "complete", "go on with a text, by a released language model")
    complete.add_argument("name", metavar="NAME")
    complete.add_argument("prompt", metavar="TEXT", help="how the text begins; - for standard input")
    complete.add_argument("--max-tokens", type=int, default=64, metavar="N", help="tokens to write (default: 64)")
    complete.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0: the most probable text")
    complete.add_argument("--seed", type=int, default=0, help="another number gives another text, above temperature 0")
    complete.add_argument("--alias", default="champion")
    serve = _command(commands, "serve", "serve released models over HTTP, following their aliases")
    serve.add_argument("name", metavar="NAME[@ALIAS]", nargs="+", help="a model, or several; @ALIAS: not --alias")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--alias", default="champion")
    serve.add_argument("--keys", metavar="FILE", help="file of hashed API keys; make one with millrace keys")
    serve.add_argument("--tokens", metavar="FILE", help="settings of JSON web tokens that are taken like keys")
    serve.add_argument("--no-auth", action="store_true", help="ask for no key; only on the loopback address")
    serve.add_argument("--settings", metavar="FILE", help="YAML: limits, tls, capture, workers")
    serve.add_argument("--workers", metavar="N", help="processes that answer (default: one a core)")
    serve.add_argument("--capture", metavar="SHARE", help="share of the requests that is kept, 0 to 1")


def _add_access(commands) -> None:
    keys = commands.add_parser("keys", help="API keys of the service", description="API keys of the service.")
    add_commands(keys)
    audit = _command(commands, "audit", "list who did what, and check that no record of it was changed")
    audit.add_argument("--model", metavar="NAME", default="", help="only what concerns this model")
    audit.add_argument("--since", metavar="TIME", default="", help="from then on: 2026-11-21T14:03, or 14:03")
    audit.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_captures(commands) -> None:
    captures = _command(
        commands, "captures", "list what services captured of a model's requests, or write it to a file"
    )
    captures.add_argument("name", metavar="NAME")
    captures.add_argument("--export", metavar="FILE.parquet", default="", help="write the rows, with their labels")
    captures.add_argument("--version", type=int, metavar="N", help="of this version only")
    captures.add_argument("--since", metavar="TIME", default="", help="from then on: 2026-11-21T14:03, or 14:03")
    captures.add_argument(
        "--expire", metavar="DAYS", type=float, help="delete what is older, as a running service does"
    )
    captures.add_argument("--json", action="store_true", help="one JSON object on stdout")
    forget = _command(commands, "forget", "erase everything that was captured of a subject")
    forget.add_argument("name", metavar="NAME", help="the model")
    forget.add_argument("subject", metavar="SUBJECT", help="whom requests named as X-Subject")
    forget.add_argument("--dry-run", action="store_true", help="count what would be erased, and change nothing")
    forget.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_batch(batch) -> None:
    batch.add_argument("--output", metavar="FOLDER|URL", default="", help="where the Parquet files of predictions go")
    batch.add_argument(
        "--keep",
        metavar="COLUMNS",
        default="",
        help="columns to write beside them, as a,b; all: every one (default: row origin)",
    )
    batch.add_argument("--probabilities", action="store_true", help="write the probability of each class, too")
    batch.add_argument("--delimiter", default=",", metavar="CHAR", help="field separator of CSV (default: a comma)")
    batch.add_argument(
        "--part-rows", type=int, default=0, metavar="N", help="rows of a part (default: by the model's kind)"
    )
    batch.add_argument("--cluster", metavar="WHERE", help="local, cuda, kubernetes, or a Dask scheduler's address")
    batch.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")


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


def _add_upkeep(commands) -> None:
    verify = _command(commands, "verify", "check every stored byte and every reference of a store")
    verify.add_argument("--json", action="store_true", help="one JSON object on stdout")
    gc = _command(commands, "gc", "show, or remove, what nothing in a store names any more")
    gc.add_argument("--delete", action="store_true", help="remove it; without this nothing is changed")
    gc.add_argument(
        "--grace", type=float, default=24.0, metavar="HOURS", help="spare what is younger (default: 24, at least 1)"
    )
    gc.add_argument("--keep-runs", type=int, metavar="N", help="forget all runs but the latest N (default: none)")
    gc.add_argument("--keep-days", type=float, metavar="D", help="forget runs older than D days (default: none)")
    gc.add_argument("--json", action="store_true", help="one JSON object on stdout")
