"""Models made elsewhere, as files, and the real command that imports them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from commands import COMMAND, Ended, environment
from handmade import CLASSES, COLUMNS, ROWS, TARGETS, onnx_model
from sklearn.linear_model import LogisticRegression

from storage.objects import ObjectStore, open_store
from storage.registry import open_registry
from tasks.inference.predictor import Predictor
from tasks.inference.releases import open_release

NAMES = [CLASSES[k] for k in TARGETS]


def importing(folder: Path, *arguments: str) -> Ended:
    """`millrace import` in `folder`."""
    done = subprocess.run(
        [*COMMAND, "import", *arguments],
        cwd=folder,
        env=environment(folder / ".millrace"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def summary(folder: Path, *arguments: str) -> dict[str, Any]:
    """What `millrace import --json` says of an import that ends well."""
    done = importing(folder, *arguments, "--json")
    assert done.code == 0, done.err
    return done.json


def store_of(folder: Path) -> ObjectStore:
    """The store that the command made there."""
    return open_store(str(folder / ".millrace" / "store"))


def predictor_of(folder: Path, name: str, version: int = 1) -> Predictor:
    """The version, loaded as the service loads it."""
    store = store_of(folder)
    return open_release(store, open_registry(store.url), name, version)[1]


def answers(predictor: Predictor, items: list[Any]) -> tuple[list[Any], np.ndarray]:
    """Predictions and outputs for items as a client sends them."""
    return predictor.predict(predictor.parse(items))


def write_irises(path: Path, rows: int = len(ROWS)) -> str:
    """So many irises, evenly spread, as CSV with the answers in `species`; the file's name."""
    order = range(0, len(ROWS), len(ROWS) // rows)
    lines = [",".join([*COLUMNS, "species"])]
    lines += [",".join([*(f"{value:g}" for value in ROWS[row]), NAMES[row]]) for row in order]
    path.write_text("\n".join(lines) + "\n")
    return path.name


def linear_iris(strength: float = 1.0) -> bytes:
    """Logits of a logistic regression on the plain numbers, as ONNX."""
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(ROWS, TARGETS)
    return onnx_model(fitted.coef_.T, fitted.intercept_)


def write_json(path: Path, value: Any) -> str:
    """`value` as a JSON file; its name."""
    path.write_text(json.dumps(value))
    return path.name
