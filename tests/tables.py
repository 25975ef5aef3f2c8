"""A small table for tests: made the same each time, with two rows that do not fit."""

from pathlib import Path

import numpy as np

from tasks.sections import DataSection


def section(**more: object) -> DataSection:
    return DataSection.model_validate({"kind": "table", **more})


def write_csv(path: Path, rows: int = 600) -> None:
    rng = np.random.default_rng(7)
    lines = ["x,n,colour,label"]
    for x, n, colour in zip(
        rng.normal(size=rows), rng.integers(0, 99, rows), rng.choice(["red", "blue"], rows), strict=True
    ):
        lines.append(f"{x:.6f},{n},{colour},{'yes' if x > 0 else 'no'}")
    lines[10], lines[20] = "1,2", "word,3,red,yes"
    path.write_text("\n".join(lines) + "\n")


def csv_section(folder: Path, **more: object) -> DataSection:
    columns = [{"name": "x", "type": "number"}]
    return section(sources=[{"url": "rows.csv"}], root=str(folder), columns=columns, shard_rows=25, **more)
