"""A messy table of reviews, prepared with passes; and what is left of it."""

import csv
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.identity import identified
from tasks.frames.prepare import prepare_dataset
from tasks.frames.stored_rows import open_dataset, read_table, stored_shards
from tasks.sections import DataSection
from tasks.transforms.cleaning.chain import apply

WORDS = "The film that we have seen is of the better sort, and to be with it for an evening is no loss"
MESS = (
    "{} <b>number {}</b>, a cafÃ© scene &amp; more.",
    "  {}\tnumber {}.\u00a0\u200b It  ends. ",
    "{} number {}; write to user{}@example.com!",
    "<p>{}</p><script>var x = {};</script>",
    "{} ＮＵＭＢＥＲ {} e\u0301tude",
)


def messy(number: int) -> str:
    """A messy text of its own."""
    return MESS[number % len(MESS)].format(WORDS, number, number)


def write_reviews(path: Path, texts: Sequence[str]) -> None:
    """Texts, labelled in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((text, "ab"[number % 2]) for number, text in enumerate(texts))


def reviews(folder: Path, passes: Sequence[dict[str, Any]], **more: Any) -> DataSection:
    """The section that reads them."""
    columns = [{"name": "text", "type": "text"}]
    fields = {"sources": [{"url": "*.csv"}], "kind": "text", "columns": columns, "shard_rows": 20, **more}
    return DataSection.model_validate({**fields, "root": str(folder), "passes": passes})


def prepared(section: DataSection, store: ObjectStore) -> tuple[str, Manifest, list[dict[str, Any]]]:
    """The data set's digest, its manifest and its rows, in this process."""
    digest = prepare_dataset(section, identified(section), store, nullcontext, lambda event: None, alone=True)
    manifest = open_dataset(store, digest)
    rows = [row for shard in stored_shards(manifest) for row in read_table(store, shard.rows).to_pylist()]
    return digest, manifest, rows


def changed(wish: Any, *texts: str | None, kind: str = "text") -> list[str | None]:
    """The texts after one pass."""
    return apply(wish.model_dump(mode="json"), kind, pa.array(texts, pa.string())).to_pylist()
