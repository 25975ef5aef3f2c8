"""Items from CSV and TSV: cells as they were quoted, missing values, and rows that do not fit the header."""

from typing import Any

import pytest

from flows.items import read_items
from storage.errors import ConfigError
from tasks.sections import CsvOptions
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
            CategoryColumn("colour", True, ("red", "NA"), ("", "?")),
        )
    ),
    ClassTarget("outcome", ("no", "yes")),
    None,
)


def items(path: str, text: str) -> list[Any]:
    return read_items(path, text, TABLE.describe())


@pytest.mark.parametrize("text", ["one\ntwo", "one\r\ntwo", "one\u2028two", "one\x85two", "one\x0ctwo"])
def test_line_breaks_of_every_kind_stay_in_their_quoted_cell(text: str):
    read = items("rows.csv", f'age,weight,colour\n1,2,"{text}"\n3,4,red\n')
    assert [item["colour"] for item in read] == [text, "red"]


@pytest.mark.parametrize("path", ["rows.tsv", "rows.tab", "ROWS.TSV"])
def test_tsv_is_separated_by_tabs_and_knows_no_quotation(path: str):
    assert items(path, 'age\tweight\tcolour\n1\t2.5\tred, "dark"\n2\t3\t"red\n') == [
        {"age": 1, "weight": 2.5, "colour": 'red, "dark"'},
        {"age": 2, "weight": 3, "colour": '"red'},
    ]


def test_a_suffix_in_capitals_is_csv_too():
    assert items("ROWS.CSV", "age,weight,colour\n1,2,red\n") == [{"age": 1, "weight": 2, "colour": "red"}]


@pytest.mark.parametrize("text", CsvOptions().missing)
def test_texts_that_mean_no_value_in_training_mean_none_in_a_number_column(text: str):
    (read,) = items("rows.csv", f"age,weight,colour\n {text} ,70,red\n")
    assert read["age"] is None
    assert TABLE.parse([read])["age"] == [None]


def test_no_value_where_one_is_wanted_is_said_so():
    with pytest.raises(Exception, match="column 'weight': found no value, wanted one"):
        TABLE.parse(items("rows.csv", "age,weight,colour\n1,NA,red\n"))


def test_a_category_column_knows_its_own_texts_for_no_value():
    read = items("rows.csv", "age,weight,colour\n1,2,NA\n1,2,?\n1,2,\n")
    assert TABLE.parse(read)["colour"] == ["NA", None, None]


@pytest.mark.parametrize("row", ["1,2", "1,2,red,blue"])
def test_a_ragged_row_is_named_with_file_and_row(row: str):
    with pytest.raises(ConfigError) as caught:
        items("rows.csv", f'age,weight,colour\n1,2,"a\nb"\n{row}\n')
    assert f"rows.csv: line 4: row 2 has {row.count(',') + 1} cells, wanted 3" in str(caught.value)


def test_a_long_text_is_read_whole():
    (read,) = items("rows.csv", f"age,weight,colour\n1,2,{'x' * 200_000}\n")
    assert read["colour"] == "x" * 200_000


@pytest.mark.parametrize("row", ['2,3,"open', '2,3,"mid" dle'])
def test_an_unbalanced_quotation_mark_swallows_no_rows(row: str):
    with pytest.raises(ConfigError, match=r"rows\.csv: line \d: row 2: .*double the quotation marks"):
        items("rows.csv", f"age,weight,colour\n1,2,red\n{row}\n3,4,red\n")


@pytest.mark.parametrize("cell", ["1_0", "١٠"])
def test_what_only_python_takes_for_a_number_stays_a_text(cell: str):
    assert items("rows.csv", f"age,weight,colour\n1,{cell},red\n")[0]["weight"] == cell
