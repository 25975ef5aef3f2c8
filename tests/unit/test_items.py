"""Items to predict, read from a file as people have it."""

import io
from pathlib import Path
from typing import Any

import pytest

from flows.items import read_items, read_text
from storage.errors import ConfigError
from tasks.transforms import Transforms
from tasks.transforms.tables import CategoryColumn, NumberColumn, TableInput
from tasks.transforms.targets import ClassTarget

TABLE = Transforms(
    "table",
    "classification",
    TableInput(
        (
            NumberColumn("age", True, True, None, None, median=40.0, mean=40.0, std=10.0),
            NumberColumn("weight", False, False, None, None, median=70.0, mean=70.0, std=5.0),
            CategoryColumn("colour", True, ("red", "7"), ("", "?")),
        )
    ),
    ClassTarget("outcome", ("no", "yes")),
    None,
)
DESCRIPTION = TABLE.describe()


def items(path: str, text: str) -> list[Any]:
    return read_items(path, text, DESCRIPTION)


def fault(path: str, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        items(path, text)
    return str(caught.value)


def test_a_json_list_is_a_list_of_items():
    assert items("rows.json", '[{"age": 1}, {"age": 2}]') == [{"age": 1}, {"age": 2}]
    assert items("rows.json", "[]") == []


def test_json_lines_are_an_item_each_and_blank_lines_are_none():
    assert items("rows.jsonl", '{"age": 1}\n\n{"age": 2}\n') == [{"age": 1}, {"age": 2}]
    assert items("texts.jsonl", '"good"\n"bad"\n') == ["good", "bad"]


def test_one_json_value_is_one_item():
    assert items("row.json", '{"age": 1,\n "weight": 2.5}\n') == [{"age": 1, "weight": 2.5}]
    assert items("-", '"a text"') == ["a text"]


def test_cells_of_csv_are_typed_by_what_the_model_says_of_its_columns():
    read = items("rows.csv", "age,weight,colour\n41,70.5,red\n-3,2e2,7\n")
    assert read == [{"age": 41, "weight": 70.5, "colour": "red"}, {"age": -3, "weight": 200, "colour": "7"}]
    assert [type(value) for value in read[0].values()] == [int, float, str]
    assert TABLE.parse(read)["colour"] == ["red", "7"]


def test_an_empty_cell_is_no_value_where_a_column_may_lack_one():
    (read,) = items("rows.csv", "age,weight,colour\n, 70 ,\n")
    assert read == {"age": None, "weight": 70, "colour": None}


def test_a_cell_that_is_no_number_stays_a_text_for_the_model_to_refuse_by_name():
    (read,) = items("rows.csv", "age,weight,colour\nold,70,red\n")
    assert read["age"] == "old"
    with pytest.raises(Exception, match=r"item 0: column 'age': found str 'old', wanted an integer"):
        TABLE.parse([read])


def test_the_column_of_the_target_is_left_out_wherever_it_stands():
    assert items("rows.csv", "outcome,age,weight,colour\nyes,1,2,red\n") == [{"age": 1, "weight": 2, "colour": "red"}]
    assert items("rows.csv", "age,outcome,weight,colour\n1,yes,2,red\n") == [{"age": 1, "weight": 2, "colour": "red"}]


def test_quoted_cells_of_csv_keep_their_commas_and_quotation_marks():
    (read,) = items("rows.csv", 'age,weight,colour\n1,2,"red, ""dark"""\n')
    assert read["colour"] == 'red, "dark"'


def test_a_line_break_within_a_quoted_cell_of_csv_is_kept():
    (read,) = items("rows.csv", 'age,weight,colour\n1,2,"red\ndark"\n')
    assert read["colour"] == "red\ndark"


def test_only_line_breaks_end_a_line():
    assert items("rows.jsonl", '"one\u2028text"\n"another\x85"\n') == ["one\u2028text", "another\x85"]
    (read,) = items("rows.csv", "age,weight,colour\n1,2,red\u2028dark\n")
    assert read["colour"] == "red\u2028dark"


def test_csv_with_windows_line_ends_is_read_alike():
    assert items("rows.csv", "age,weight,colour\r\n1,2,red\r\n") == items("rows.csv", "age,weight,colour\n1,2,red\n")


def test_a_fault_in_json_lines_is_named_with_file_and_line():
    said = fault("rows.jsonl", '{"age": 1}\n\n{"age": }\n')
    assert "rows.jsonl: line 3: Expecting value" in said
    assert "wanted a JSON list, or one JSON value a line" in said


def test_a_fault_in_a_json_list_over_several_lines_is_named_with_its_line():
    assert "rows.json: line 3" in fault("rows.json", '[\n  {"age": 1},\n  {"age": }\n]\n')


def test_a_row_of_csv_with_too_many_cells_is_named_with_file_and_line():
    assert "rows.csv: line 3" in fault("rows.csv", "age,weight,colour\n1,2,red\n1,2,red,blue\n")


def test_a_row_of_csv_with_too_few_cells_is_named_with_file_and_line():
    assert "rows.csv: line 3" in fault("rows.csv", "age,weight,colour\n1,2,red\n1,2\n")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfage,weight,colour\n1,2,red\n")
    assert list(items(str(path), read_text(str(path)))[0]) == ["age", "weight", "colour"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"absent\.json: cannot be read: No such file"):
        read_text(str(tmp_path / "absent.json"))
    (tmp_path / "latin.csv").write_bytes(b"age\n\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.csv: byte 4 is no UTF-8"):
        read_text(str(tmp_path / "latin.csv"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(str(tmp_path))


def test_an_image_or_a_recording_is_one_item_its_bytes_in_base64(tmp_path: Path):
    (tmp_path / "photo.PNG").write_bytes(b"\x89PNG\xff\x00")
    path = str(tmp_path / "photo.PNG")
    assert read_items(path, read_text(path), {**DESCRIPTION, "kind": "image"}) == ["iVBOR/8A"]
    assert "photo.PNG: found an image or a recording, wanted an object with the columns" in fault(path, read_text(path))


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("[1]"))
    assert read_text("-") == "[1]"
