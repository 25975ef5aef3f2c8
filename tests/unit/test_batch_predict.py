"""`millrace predict --batch`: the service's answers, row for row; what is refused; what is computed again, and what is not."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batches import answers, files, manifest, predict, predicted, quarantined, rows_of, write_csv, write_parquet
from handmade import CLASSES, COLUMNS, iris_store, serving, transforms_json

from flows.cli import MISUSE
from flows.items import read_items
from tasks.transforms import Transforms

BAD: list[dict[str, Any]] = [
    {"petal_width": None},
    {"sepal_width": 1e39},
    {"petal_width": 1e38},  # the model has no finite answer
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a store that has two versions of the model."""
    iris_store(tmp_path, versions=2)
    return tmp_path


def mixed_rows() -> list[dict[str, Any]]:
    """Rows with some bad ones among them."""
    rows = rows_of(160)
    for number, change in enumerate(BAD):
        rows[20 + 30 * number] |= change
    return rows


def as_a_client_sends(place: Path, rows: list[dict[str, Any]], write: Any) -> list[Any]:
    """The items of the rows; of CSV as `millrace predict --input` takes them."""
    if write is write_parquet:
        return rows
    description = Transforms.load(
        {"transforms.json": transforms_json({"name": "species", "classes": CLASSES})}
    ).describe()
    return read_items("a.csv", (place / "rows" / "a.csv").read_text(), description)


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_every_row_gets_the_answer_of_the_service(write: Any, place: Path):
    rows = mixed_rows()
    write(place / "rows" / ("a.parquet" if write is write_parquet else "a.csv"), rows)
    summary = predicted(place, "--keep", "id", "--probabilities", "--part-rows", "50")
    found = {int(row["id"]): row["prediction"] for row in answers(place)}
    refused = {row["_row"] - 1: row["reason"] for row in quarantined(place)}
    store, _ = iris_store(place / "elsewhere", versions=2)
    items = as_a_client_sends(place, rows, write)
    with serving(store, place) as service:
        for row, item in zip(rows, items, strict=True):
            body = {"input_data": [{name: item[name] for name in COLUMNS}]}
            answer = service.client.post("/predict", json=body)
            if answer.status_code == 200:
                assert found[row["id"]] == answer.json()["prediction"][0]
            else:
                assert answer.status_code == 422
                assert answer.json()["error"]["message"] == f"item 0: {refused[row['id']]}"
    assert found.keys() | refused.keys() == set(range(160))
    assert not found.keys() & refused.keys()
    assert len(refused) == len(BAD) == summary["rows_in"] - summary["rows_out"]
    assert summary["rules"] == {"missing": 1, "no answer": 1, "range": 1}


def test_probabilities_are_those_of_each_class_and_name_the_prediction(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(150))
    predicted(place, "--probabilities")
    for row in answers(place):
        shares = {name: row[f"probability_{name}"] for name in CLASSES}
        assert max(shares, key=shares.__getitem__) == row["prediction"]
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)


def test_rows_keep_the_columns_asked_for_or_say_where_they_came_from(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(10, note="x"))
    predicted(place)
    assert [(row["_file"], row["_row"]) for row in answers(place)] == [("rows/a.parquet", n + 1) for n in range(10)]
    predicted(place, "--keep", "note, id")
    assert list(answers(place)[3]) == ["note", "id", "prediction"]
    predicted(place, "--keep", "all")
    assert list(answers(place)[3]) == [*COLUMNS, "id", "note", "prediction"]


def test_csv_compressed_or_not_and_parquet_give_the_same_answers(place: Path):
    rows = rows_of(150)
    write_parquet(place / "rows" / "a.parquet", rows)
    write_csv(place / "text" / "a.csv", rows)
    with pa.output_stream(str(place / "packed.csv.gz"), compression="gzip") as packed:
        packed.write((place / "text" / "a.csv").read_bytes())
    outputs = []
    for source in ("rows", "text/*.csv", "packed.csv.gz"):
        predicted(place, "--batch", source)
        outputs.append([row["prediction"] for row in answers(place)])
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0]) == 150


def test_rows_in_are_rows_out_and_refused_in_every_part(place: Path):
    write_csv(place / "rows" / "a.csv", mixed_rows())
    with (place / "rows" / "a.csv").open("a") as file:
        file.write('1,2,3\n"torn,1,2,3,4\n')
    summary = predicted(place, "--part-rows", "25")
    assert summary["rows_in"] == 162
    assert len(answers(place)) == summary["rows_out"] == 157
    assert len(quarantined(place)) == sum(summary["rules"].values()) == 5
    for part in summary["parts"]:
        refused = [row for row in quarantined(place) if part["first_row"] <= row["_row"] < part["first_row"] + 25]
        assert part["rows_in"] == part["rows_out"] + len(refused)
    assert summary["rules"]["ragged"] == summary["rules"]["quote"] == 1


def test_what_was_predicted_is_found_and_only_a_new_file_is_predicted(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(300), row_group=100)
    first = predicted(place, "--part-rows", "100")
    assert (len(first["parts"]), first["parts_computed"]) == (3, 3)
    written = files(place)
    assert predicted(place, "--part-rows", "100")["parts_computed"] == 0
    assert files(place) == written
    write_parquet(place / "rows" / "b.parquet", rows_of(150))
    assert predicted(place, "--part-rows", "100")["parts_computed"] == 2
    assert len(answers(place)) == 450
    assert written.items() - {("_summary.json", written["_summary.json"])} <= files(place).items()


def test_another_model_or_another_wish_predicts_again(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(20))
    assert [predicted(place, *more)["parts_computed"] for more in ((), ("--version", "2"), ("--keep", "id"), ())] == [
        1, 1, 1, 0,
    ]  # fmt: skip
    assert manifest(place)["version"] == 1


def test_large_row_groups_are_cut_and_small_ones_put_together(place: Path):
    write_parquet(place / "rows" / "large.parquet", rows_of(100), row_group=100)
    write_parquet(place / "rows" / "small.parquet", rows_of(100), row_group=8)
    parts = predicted(place, "--part-rows", "40", "--keep", "id")["parts"]
    large, small = ([part["rows_in"] for part in parts if size in part["file"]] for size in ("large", "small"))
    assert large == [33, 33, 34]
    assert small == [40, 40, 20]
    assert [row["id"] for row in answers(place)] == [*range(100), *range(100)]


def test_the_output_is_mended_and_cleared_of_what_is_no_longer_predicted(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(20))
    write_parquet(place / "rows" / "b.parquet", [*rows_of(20), {**rows_of(1)[0], "petal_width": None}])
    predicted(place)
    whole = files(place)
    (place / "out" / "rows" / "a.parquet-000000001.parquet").write_bytes(b"damaged")
    (place / "out" / "rows" / "b.parquet-000000001.parquet").unlink()
    assert predicted(place)["parts_computed"] == 0
    assert files(place) == whole
    (place / "rows" / "b.parquet").unlink()
    predicted(place)
    assert sorted(files(place)) == ["_summary.json", "rows/a.parquet-000000001.parquet"]


def test_a_prediction_that_was_interrupted_while_it_was_laid_out_is_finished(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(20))
    write_parquet(place / "rows" / "b.parquet", rows_of(20))
    predicted(place)
    whole, summary = files(place), place / "out" / "_summary.json"
    summary.write_text(summary.read_text().replace('"complete": true', '"complete": false'))
    (place / "out" / "rows" / "b.parquet-000000001.parquet").unlink()
    (place / "out" / "rows" / "b.parquet-000000001.parquet#1").write_bytes(b"half")
    predicted(place)
    assert files(place) == whole


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--batch", "absent"), 1, "absent"),
        (("--batch", "wrong.csv"), 1, "wrong.csv: column 'petal_width' is missing; found"),
        (("--batch", "wrong.csv"), 1, "did you mean 'petal_wide'?"),
        (("--batch", "broken.parquet"), 1, "broken.parquet: is no readable Parquet file"),
        (("--batch", "lines.jsonl"), MISUSE, "lines.jsonl: found no .csv"),
        (("--keep", "ids"), 1, "rows/a.parquet: column 'ids' is missing"),
        (("--keep", "prediction"), 1, "rows/a.parquet: column 'prediction' is missing"),
        (("--keep", "id,id"), MISUSE, "names 'id' twice"),
        (("--version", "7"), 1, "found versions [1, 2], wanted 7"),
        (("--alias", "canary"), 1, "no version holds the alias 'canary'"),
        (("--part-rows", "-1"), MISUSE, "part_rows"),
        (("--output", "rows/out"), MISUSE, "lies in the source rows"),
        (("--output", "full"), MISUSE, "found notes.txt, which no batch prediction wrote"),
        (("--output", ""), MISUSE, "--output: found none"),
        (("--cluster", "nowhere"), MISUSE, "cluster.address: found 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(options: tuple[str, ...], code: int, said: str, place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(20))
    wrong = [{("petal_wide" if name == "petal_width" else name): row[name] for name in row} for row in rows_of(2)]
    write_csv(place / "wrong.csv", wrong)
    (place / "broken.parquet").write_bytes(b"PAR1 and no more")
    (place / "lines.jsonl").write_text("{}\n")
    (place / "full").mkdir()
    (place / "full" / "notes.txt").write_text("mine")
    ended = predict(place, *options)
    assert ended.code == code
    (line,) = [line for line in ended.err.splitlines() if line.startswith("millrace:")]
    assert said in line
    assert "Traceback" not in ended.err
    assert (place / "full" / "notes.txt").read_text() == "mine"
    assert not (place / "out" / "_summary.json").exists()


def test_options_of_a_batch_are_refused_without_one(place: Path):
    (place / "items.json").write_text("[]")
    ended = predict(place, "--input", "items.json", "--batch", "rows")
    assert (ended.code, "not allowed with argument" in ended.err) == (MISUSE, True)


def test_a_kept_column_by_the_name_of_one_that_is_written_is_refused(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(5, prediction="x"))
    ended = predict(place, "--keep", "all")
    assert (ended.code, "the column 'prediction' cannot be kept" in ended.err) == (1, True)


def test_a_kept_column_by_the_name_of_a_row_s_origin_is_refused(place: Path):
    write_csv(place / "rows" / "a.csv", rows_of(5, _row="x"))
    ended = predict(place, "--keep", "_row")
    assert (ended.code, "the column '_row' cannot be kept" in ended.err) == (1, True)
    assert predicted(place)["rows_out"] == 5


def test_an_output_that_lies_in_the_source_by_a_link_is_refused(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(5))
    (place / "linked").symlink_to(place / "rows")
    ended = predict(place, "--output", "linked/out")
    assert (ended.code, "lies in the source rows" in ended.err) == (MISUSE, True)


def test_what_other_programs_leave_in_a_folder_of_parquet_is_passed_over(place: Path):
    write_parquet(place / "rows" / "a.parquet", rows_of(3))
    (place / "rows" / "_SUCCESS").touch()
    assert predicted(place)["rows_out"] == 3
    predicted(place, "--batch", "rows", "--output", "again", "--keep", "all")
    assert predicted(place, "--batch", "again", "--output", "third")["rows_out"] == 3


def test_an_empty_file_gives_no_rows(place: Path):
    empty = pa.Table.from_pylist(rows_of(1)).slice(0, 0)
    (place / "rows").mkdir()
    pq.write_table(empty, place / "rows" / "a.parquet")
    write_parquet(place / "rows" / "b.parquet", rows_of(3))
    assert predicted(place)["rows_out"] == len(answers(place)) == 3


def test_names_of_files_may_be_anything(place: Path):
    names = ["_a.parquet", "b c.parquet", "b-c.parquet", "größe.parquet", "deep/.x.parquet.d/y.parquet"]
    for number, name in enumerate(names):
        write_parquet(place / "rows" / name, rows_of(2 + number))
    summary = predicted(place)
    assert len(answers(place)) == summary["rows_in"] == 20
    assert len({part["name"] for part in summary["parts"]}) == len(names)


def test_the_same_files_give_the_same_bytes_in_another_store(place: Path):
    write_parquet(place / "rows" / "a.parquet", mixed_rows(), row_group=50)
    predicted(place, "--part-rows", "50")
    whole = files(place)
    shutil.rmtree(place / "store" / "shards")
    shutil.rmtree(place / "out")
    assert predicted(place, "--part-rows", "50")["parts_computed"] == 4
    assert files(place) == whole
