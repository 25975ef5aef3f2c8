"""Batch predictions in tests: rows of irises in files, the command in a folder of its own, and what it wrote."""

import csv
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from commands import COMMAND, Ended, environment
from handmade import ITEMS

Row = Mapping[str, Any]


def rows_of(count: int, **more: Any) -> list[dict[str, Any]]:
    """So many irises, each with an `id`."""
    return [{**ITEMS[number % len(ITEMS)], "id": number, **more} for number in range(count)]


def write_parquet(path: Path, rows: list[Any], row_group: int = 10_000) -> Path:
    """The rows as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group)
    return path


def write_csv(path: Path, rows: list[Any]) -> Path:
    """The rows as a CSV file; None is an empty cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def command(folder: Path, *options: str, name: str = "iris", output: str = "out") -> list[str]:
    """The command that predicts the files of `rows` below `folder`."""
    sources = () if "--batch" in options else ("--batch", "rows")
    return [*COMMAND, "predict", name, "--storage", "store", "--output", output, "--json", *sources, *options]


def predict(folder: Path, *options: str, **more: str) -> Ended:
    """How the command ended, in `folder`."""
    ended = subprocess.run(
        command(folder, *options, **more),
        cwd=folder,
        env=environment(folder / "root"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def predicted(folder: Path, *options: str, **more: str) -> dict[str, Any]:
    """The summary of a prediction that ended well."""
    ended = predict(folder, *options, **more)
    assert ended.code == 0, ended.err
    return ended.json


def answers(folder: Path, output: str = "out") -> list[dict[str, Any]]:
    """All rows that were written, in the order of their files, as any reader of Parquet folders finds them."""
    return pq.read_table(folder / output).to_pylist()


def quarantined(folder: Path, output: str = "out") -> list[dict[str, Any]]:
    """All rows that were refused."""
    place = folder / output / "_quarantine"
    return [row for path in sorted(place.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def files(folder: Path, output: str = "out") -> dict[str, bytes]:
    """Every file of the output, by name."""
    found = (folder / output).rglob("*")
    return {str(path.relative_to(folder / output)): path.read_bytes() for path in found if path.is_file()}


def manifest(folder: Path, output: str = "out") -> dict[str, Any]:
    """The summary that lies beside the predictions."""
    return json.loads((folder / output / "_summary.json").read_bytes())
