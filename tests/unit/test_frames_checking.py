"""Checking: types, limits and categories; what is refused, by which rule; which split a row goes to."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from storage.errors import ConfigError, SchemaError
from tasks.frames.checking import check
from tasks.frames.raw import Raw, Refusal, with_origin
from tasks.frames.row_hashes import content_hashes
from tasks.frames.schema import Schema, make_schema
from tasks.frames.splitting import assign_splits, count_splits
from tasks.sections import DataSection


def section(**more: object) -> DataSection:
    return DataSection.model_validate({"sources": [{"url": "t.csv"}], "kind": "table", **more})


def table(**columns: list[object]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return with_origin(pa.table(columns), "t.csv", list(range(1, rows + 1)))


def checked(data: DataSection, raw: pa.Table, sample: pa.Table | None = None) -> tuple[Schema, pa.Table, list[Refusal]]:
    schema = make_schema(data, sample if sample is not None else raw, None)
    return schema, *check(data, schema, Raw(raw))


def types(schema: Schema) -> dict[str, str]:
    return {column.name: column.type for column in schema.columns}


def test_types_are_inferred_from_what_the_cells_look_like():
    raw = table(
        n=[" 1", "-2", "?"],
        x=["1", "2.5e3", ""],
        c=["red", "blue", "red"],
        t=["long words " * 9] * 3,
        label=["a", "b", "a"],
    )
    schema, rows, refused = checked(section(), raw)
    assert types(schema) == {"n": "integer", "x": "number", "c": "category", "label": "category"}
    assert schema.unused == ("t",)
    assert rows.to_pydict()["n"] == [1, -2, None]
    assert rows.to_pydict()["x"] == [1.0, 2500.0, None]
    assert refused == []


def test_a_cell_of_the_wrong_type_is_refused_and_its_row_named():
    sample = table(n=["1", "2"], label=["a", "b"])
    raw = table(n=["1", "two", "3.5", "4.0", "1e999"], label=["a"] * 5)
    _, rows, refused = checked(section(), raw, sample)
    assert rows.to_pydict()["n"] == [1, 4]
    assert [(r.row, r.rule) for r in refused] == [(2, "type"), (3, "type"), (5, "type")]
    assert "column 'n': found 'two', wanted an integer" in refused[0].reason
    assert refused[0].raw == '{"n":"two","label":"a"}'


def test_each_rule_is_named_and_only_the_first_one_broken_counts():
    rules = [
        {"name": "age", "type": "integer", "nullable": False, "minimum": 0, "maximum": 120},
        {"name": "c", "type": "category", "categories": ["red", "blue"]},
    ]
    raw = table(
        age=["1", "", "-1", "121", "5", "x", "6"],
        c=["red", "red", "red", "red", "mauve", "mauve", ""],
        label=["a"] * 6 + [" "],
    )
    _, rows, refused = checked(section(columns=rules), raw)
    assert [(r.row, r.rule) for r in refused] == [
        (2, "missing"), (3, "range"), (4, "range"), (5, "category"), (6, "type"), (7, "missing_target"),
    ]  # fmt: skip
    assert rows.num_rows == 1


def test_typed_sources_keep_their_numbers_and_nan_is_missing():
    raw = table(x=pa.array([1.5, float("nan"), float("inf")]), n=pa.array([1, None, 3]), label=pa.array([0, 1, 1]))
    schema, rows, refused = checked(section(), raw)
    assert types(schema) == {"x": "number", "n": "integer", "label": "category"}
    assert rows.to_pydict()["x"] == [1.5, None]
    assert rows.to_pydict()["label"] == ["0", "1"]
    assert [(r.row, r.rule) for r in refused] == [(3, "type")]


def test_target_values_are_renamed_before_they_are_checked():
    raw = table(x=["1", "2"], label=["<=50K.", ">50K"])
    rules = [{"name": "label", "type": "category", "categories": ["<=50K", ">50K"]}]
    _, rows, refused = checked(section(target_names={"<=50K.": "<=50K"}, columns=rules), raw)
    assert rows.to_pydict()["label"] == ["<=50K", ">50K"]
    assert refused == []


def test_a_regression_target_is_a_number():
    schema, rows, refused = checked(section(task="regression"), table(x=["1", "2"], label=["7", "seven"]))
    assert types(schema)["label"] == "number"
    assert rows.to_pydict()["label"] == [7.0]
    assert refused[0].rule == "type"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": "lable"}, r"data\.target: no column 'lable'.*did you mean 'label'"),
        ({"features": ["xx"]}, r"data\.features: no column 'xx'"),
        ({"columns": [{"name": "ages", "type": "integer"}]}, r"data\.columns: no column 'ages'.*did you mean 'age'"),
        ({"features": ["label"]}, "is the target"),
        ({"kind": "image"}, "found none as image columns"),
    ],
)
def test_a_name_that_is_not_in_the_data_is_refused_with_the_nearest(more: dict[str, object], words: str):
    with pytest.raises(SchemaError, match=words):
        checked(section(**more), table(age=["1"], x=["2"], label=["a"]))


def test_a_file_that_lacks_a_column_is_named_and_a_json_line_may():
    data, sample = section(), table(x=["1"], y=["2"], label=["a"])
    schema = make_schema(data, sample, None)
    short = table(x=["1"], label=["a"])
    with pytest.raises(SchemaError, match=r"t\.csv: column 'y' is missing"):
        check(data, schema, Raw(short))
    rows, refused = check(data, schema, Raw(short, sparse=True))
    assert rows.to_pydict()["y"] == [None]
    assert refused == []


def test_a_text_needs_a_text():
    data = section(kind="text", features=["text"])
    _, rows, refused = checked(data, table(text=["good", "  "], label=["a", "b"]))
    assert rows.to_pydict()["text"] == ["good"]
    assert [(r.row, r.rule) for r in refused] == [(2, "missing")]


def hashes(count: int) -> np.ndarray:
    data = section()
    schema, rows, _ = checked(data, table(x=[str(i) for i in range(count)], label=["a"] * count))
    return content_hashes(schema, rows)


def splits(data: DataSection, declared: str, hashes: np.ndarray) -> list[str]:
    return assign_splits(data, declared, hashes).to_pylist()


def test_a_row_keeps_its_split_whatever_rows_stand_beside_it():
    many, few = hashes(1000), hashes(10)
    assert many[:10].tolist() == few.tolist()
    assert splits(section(), "any", many)[:10] == splits(section(), "any", few)


def test_content_hashes_are_the_same_on_every_machine():
    assert [f"{one:016x}" for one in hashes(2).tolist()] == ["cbd6a8590f4a9d34", "637e4fddcf9764bc"]
    letters = "".join(split[:2] for split in splits(section(), "any", np.arange(12, dtype=np.uint64)))
    assert letters == "tetrtrtrvatetrtrvatrtrtr"


def test_shares_are_about_as_asked_and_another_seed_gives_another_split():
    many = hashes(4000)
    counts = count_splits(assign_splits(section(), "any", many))
    assert abs(counts["test"] - 800) < 100
    assert abs(counts["validation"] - 600) < 100
    assert splits(section(split_seed=1), "any", many) != splits(section(), "any", many)


def test_declared_splits_are_kept_and_only_missing_ones_are_carved(tmp_path: Path):
    sources = [{"url": "a", "split": "train"}, {"url": "b", "split": "test"}]
    data, many = section(sources=sources), hashes(500)
    assert set(splits(data, "test", many)) == {"test"}
    assert set(splits(data, "train", many)) == {"train", "validation"}
    only_train = section(sources=sources[:1])
    assert set(splits(only_train, "train", many)) == {"train", "validation", "test"}


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ConfigError, match="less than 1"):
        assign_splits(section(validation_share=0.5, test_share=0.5), "any", hashes(1))


def test_cells_that_look_alike_side_by_side_have_different_hashes():
    schema, rows, _ = checked(section(), table(a=["ab", "a"], b=["c", "bc"], label=["x", "x"]))
    assert len(set(content_hashes(schema, rows).tolist())) == 2
