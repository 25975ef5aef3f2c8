"""The commands about released models and the store: presets, models, predict, complete, serve."""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any

from flows.aliases import existing_store
from flows.items import read_items, read_text
from storage.errors import ConfigError


def presets(arguments: argparse.Namespace) -> int:
    """List the presets, or show one as YAML."""
    from flows.presets import PRESETS, preset_config
    from flows.settings import dump_config

    if arguments.show:
        sys.stdout.write(dump_config(preset_config(arguments.show)))
        return 0
    for name, preset in PRESETS.items():
        first_line = (preset.__doc__ or "").strip().splitlines()[0]
        sys.stdout.write(f"{name:<16} {first_line}\n")
    return 0


def models(arguments: argparse.Namespace) -> int:
    """List models, or the versions of one."""
    from storage.registry import open_registry

    registry = open_registry(existing_store(arguments.storage))
    names = [arguments.name] if arguments.name else registry.names()
    listing = {name: _versions(registry, name) for name in names}
    if arguments.json:
        sys.stdout.write(json.dumps(listing) + "\n")
        return 0
    if not listing:
        sys.stdout.write("no model yet; make one with: millrace run digits\n")
    for name, versions in listing.items():
        sys.stdout.write(f"{name}\n")
        for version in versions:
            shares = version["shares"]
            marks = [f"{alias} {100 * shares[alias]:g} %" if alias in shares else alias for alias in version["aliases"]]
            marks += ["rolled back"] if version["rolled_back"] else []
            sys.stdout.write(
                f"  version {version['version']:<4} {version['registered']}  {version['artifact'][:12]}  {', '.join(marks)}\n"
            )
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Predict a file's items, one JSON line each; or whole files of rows, into Parquet."""
    from flows import cli_batch

    if arguments.batch:
        return cli_batch.predict(arguments)
    cli_batch.refuse_options(arguments)
    text = read_text(arguments.input)
    storage = existing_store(arguments.storage)

    from storage.objects import open_store
    from storage.registry import open_registry
    from tasks.inference.releases import open_release  # after the cheap checks: misuse is answered at once

    wanted = arguments.version or arguments.alias
    _, predictor, _ = open_release(open_store(storage), open_registry(storage), arguments.name, wanted)
    items = read_items(arguments.input, text, predictor.transforms.describe())
    predictions, outputs = predictor.predict(predictor.parse(items))
    for prediction, output in zip(predictions, outputs, strict=True):
        line: dict[str, Any] = {"prediction": prediction}
        if predictor.classes:
            line["probabilities"] = {
                str(name): round(float(share), 6) for name, share in zip(predictor.classes, output, strict=True)
            }
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    return 0


def complete(arguments: argparse.Namespace) -> int:
    """Write the text and what follows it, as it comes."""
    if arguments.max_tokens < 1 or arguments.temperature < 0 or arguments.seed < 0:
        raise ConfigError("--max-tokens: wanted at least 1; --temperature and --seed: wanted at least 0")
    prompt = read_text("-") if arguments.prompt == "-" else arguments.prompt
    storage = existing_store(arguments.storage)

    from storage.objects import open_store
    from storage.registry import open_registry
    from tasks.inference.generation import Generation, Wish
    from tasks.inference.releases import open_release

    _, predictor, _ = open_release(open_store(storage), open_registry(storage), arguments.name, arguments.alias)
    if predictor.tokens is None:
        raise ConfigError(
            f"model {arguments.name!r} completes no texts, it predicts; use millrace predict {arguments.name}"
        )
    if prompt:
        predictor.parse([prompt])
    sys.stdout.write(prompt)
    for piece in Generation(predictor, Wish(prompt, arguments.max_tokens, arguments.temperature, seed=arguments.seed)):
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Become the prediction service."""
    from tasks.service import __main__ as service
    from tasks.service import options

    argv = [part for name in arguments.name for part in ("--model", name)]
    argv += ["--alias", arguments.alias, "--host", arguments.host, "--port", str(arguments.port)]
    for option in ("keys", "tokens", "settings", "workers", "capture"):
        if value := getattr(arguments, option):
            argv += [f"--{option}", value]
    argv += ["--no-auth"] if arguments.no_auth else []
    options.check(options.parser().parse_args(argv))  # misuse is said before a missing store
    return service.main([*argv, "--storage", existing_store(arguments.storage)])


def _versions(registry: Any, name: str) -> list[dict[str, Any]]:
    rolled_back = registry.rolled_back(name)
    aliases = registry.aliases(name)
    traffic = registry.traffic(name)
    tried = {"canary": traffic.canary, "shadow": traffic.shadow}
    return [
        {
            "version": version.number,
            "registered": datetime.fromtimestamp(version.time, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "artifact": version.artifact,
            "release": version.release,
            "aliases": [alias for alias, number in aliases.items() if number == version.number],
            "shares": {alias: one.share for alias, one in tried.items() if one and one.version == version},
            "rolled_back": version.artifact in rolled_back,
        }
        for version in registry.versions(name)
    ]
