"""Batch prediction of what is no table of numbers: mixed columns, texts, images in Parquet."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from adult_like import draw_rows, release_adult
from batches import answers, predicted, quarantined, write_csv, write_parquet
from commands import ROOT
from handmade_lm import CIRCLE, lm_store
from PIL import Image

from storage.objects import open_store
from storage.registry import open_registry
from tasks.batch.reading import Rows
from tasks.inference.releases import open_release
from tasks.transforms import ItemError, Transforms
from tasks.transforms.images import ImageInput
from tasks.transforms.targets import ClassTarget


def test_mixed_columns_with_gaps_get_what_items_get_one_at_a_time(tmp_path: Path):
    release_adult(str(tmp_path / "store"))
    table = draw_rows(1_000, 0)
    (tmp_path / "rows").mkdir()
    pq.write_table(table, tmp_path / "rows" / "a.parquet", row_group_size=300)
    predicted(tmp_path, "--keep", "id", "--part-rows", "200", name="adult")
    store = open_store(str(tmp_path / "store"))
    _, predictor, _ = open_release(store, open_registry(store.url), "adult", "champion")
    items = table.drop_columns(["id"]).to_pylist()
    alone = [predictor.predict(predictor.parse([item]))[0][0] for item in items]
    assert [row["prediction"] for row in answers(tmp_path)] == alone
    assert len(set(alone)) == 2


def refusal(transforms: Transforms, item: object) -> str:
    with pytest.raises(ItemError) as caught:
        transforms.parse([item])
    return caught.value.message


def test_texts_in_parquet_and_csv_get_what_the_model_says_of_each(tmp_path: Path):
    store, registry = lm_store(tmp_path)
    texts = [CIRCLE, "xyz", "a, b\nc", "", None, CIRCLE * 3]
    write_parquet(tmp_path / "rows" / "a.parquet", [{"text": text, "id": n} for n, text in enumerate(texts)])
    predicted(tmp_path, "--keep", "id", name="writer")
    _, predictor, _ = open_release(store, registry, "writer", "champion")
    found = {row["id"]: row["prediction"] for row in answers(tmp_path)}
    assert found == {n: predictor.predict(predictor.parse([texts[n]]))[0][0] for n in (0, 1, 2, 5)}
    assert [(row["_row"], row["reason"]) for row in quarantined(tmp_path)] == [
        (number + 1, refusal(predictor.transforms, texts[number])) for number in (3, 4)
    ]
    write_csv(tmp_path / "csv" / "a.csv", [{"text": texts[n], "id": n} for n in sorted(found)])
    predicted(tmp_path, "--batch", "csv", "--keep", "id", name="writer")
    assert [row["prediction"] for row in answers(tmp_path)] == list(found.values())


def test_pixels_in_lists_and_image_files_in_a_parquet_column_are_what_a_client_sends():
    images = Transforms(
        "image",
        "classification",
        ImageInput("image", (2, 3, 1), 255.0, (0.25,), (0.5,)),
        ClassTarget("label", ("a", "b")),
        None,
    )
    pixels = np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3)
    sink = pa.BufferOutputStream()
    Image.fromarray(pixels).save(sink, "PNG")
    png = sink.getvalue().to_pybytes()
    columns = [
        (pa.array([pixels.tolist(), [[1, 2], [3, 4]], None]), [pixels.tolist(), [[1, 2], [3, 4]], None]),
        (pa.array([png, b"GIF8", None]), [base64.b64encode(png).decode(), base64.b64encode(b"GIF8").decode(), None]),
    ]
    for array, items in columns:
        sifted = images.sift({"image": Rows(pa.table({"image": array})).values("image", {})})
        assert sifted.rows.tolist() == [0]
        assert (images.features(sifted.columns) == images.features(images.parse(items[:1]))).all()
        assert [(one.row, one.reason) for one in sifted.refused] == [(n, refusal(images, items[n])) for n in (1, 2)]


def test_the_benchmark_measures_both_sides():
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / "bench_batch.py"), "--rows", "2000", "--files", "2"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)
    assert told["rows"] == 2000
    assert told["ratio_to_loop"] > 0
