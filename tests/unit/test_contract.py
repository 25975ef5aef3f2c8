"""A contract over a real file: what each rule and action does, what is counted, and when the run stops."""

from pathlib import Path
from typing import Any

import pytest
from contracts import kept, prepared, refused, table, written
from pydantic import ValidationError

from storage.errors import ConfigError, SchemaError
from tasks.sections import ColumnRule, DataSection


def contract(lines: list[str], folder: Path, **more: Any) -> DataSection:
    return written(folder, lines, max_quarantined_share=0.5, contract=more)


def age(**more: Any) -> dict[str, Any]:
    return {"name": "age", "type": "integer", **more}


def findings(manifest: Any) -> dict[tuple[str, str], int]:
    return {(one["rule"], one["action"]): one["count"] for one in manifest.meta["findings"]}


BROKEN = {3: "2,-5,Atown,y", 9: "8,130,Btown,n", 20: "19,,Ctown,y", 30: "29,x,Atown,n", 40: "39,33,Z,n"}


def with_faults() -> list[str]:
    lines = table()
    for number, line in BROKEN.items():
        lines[number] = line
    return lines


def test_each_rule_refuses_its_rows_and_the_counts_reconcile(tmp_path: Path):
    city = {"name": "city", "type": "category", "pattern": "[A-C]town", "longest": 5}
    data = contract(with_faults(), tmp_path, columns=[age(nullable=False, minimum=0, maximum=120), city])
    store, digest, manifest = prepared(data, tmp_path)
    assert refused(store, digest) == [
        (3, "age: range"), (9, "age: range"), (20, "age: missing"), (30, "age: type"), (40, "city: pattern"),
    ]  # fmt: skip
    assert manifest.meta["rows_in"] == manifest.meta["rows_out"] + manifest.meta["rows_quarantined"] == 200
    assert findings(manifest) == {
        ("age: missing", "quarantine"): 1,
        ("age: range", "quarantine"): 2,
        ("age: type", "quarantine"): 1,
        ("city: pattern", "quarantine"): 1,
    }


def test_a_fix_changes_the_cell_and_keeps_the_row(tmp_path: Path):
    handling = {
        "range": {"action": "fix", "fix": "clip"},
        "missing": {"action": "fix", "fix": "constant", "value": 30},
        "type": {"action": "fix", "fix": "missing"},
    }
    city = {"name": "city", "type": "category", "pattern": "[A-C]town"}
    city |= {"handling": {"pattern": {"action": "fix", "fix": "constant", "value": "Atown"}}}
    columns = [age(nullable=False, minimum=0, maximum=120, handling=handling), city]
    store, digest, manifest = prepared(contract(with_faults(), tmp_path, columns=columns), tmp_path)
    rows = {row["_row"]: row for row in kept(store, manifest)}
    assert [rows[number]["age"] for number in (3, 9, 20, 30)] == [0, 120, 30, 30]
    assert rows[40]["city"] == "Atown"
    assert refused(store, digest) == []
    assert findings(manifest) == {
        ("age: missing", "fix"): 2,  # the cell that was no number is missing then
        ("age: range", "fix"): 2,
        ("age: type", "fix"): 1,
        ("city: pattern", "fix"): 1,
    }


def test_a_long_text_is_cut_to_its_length(tmp_path: Path):
    city = {"name": "city", "type": "category", "longest": 3, "handling": {"length": {"action": "fix", "fix": "clip"}}}
    store, _, manifest = prepared(contract(table(), tmp_path, columns=[city]), tmp_path)
    assert {row["city"] for row in kept(store, manifest)} == {"Ato", "Bto", "Cto"}


def test_a_warning_keeps_the_row_as_it_is_with_an_example(tmp_path: Path):
    rule = age(maximum=120, handling={"range": {"action": "warn"}, "type": {"action": "fix", "fix": "missing"}})
    store, digest, manifest = prepared(contract(with_faults(), tmp_path, columns=[rule]), tmp_path)
    assert 130 in [row["age"] for row in kept(store, manifest)]
    told = {one["rule"]: one for one in manifest.meta["findings"]}
    assert told["age: range"]["example"] == "rows.csv row 9: column 'age': found '130', wanted at most 120"
    assert refused(store, digest) == []


def test_fail_stops_the_run_and_names_the_row(tmp_path: Path):
    rule = age(maximum=120, handling={"range": {"action": "fail"}})
    with pytest.raises(
        SchemaError, match=r"rows\.csv row 9: column 'age': found '130', wanted at most 120; the contract says"
    ):
        prepared(contract(with_faults(), tmp_path, columns=[rule]), tmp_path)


def test_a_rule_has_a_limit_of_its_own(tmp_path: Path):
    rule = age(minimum=0, maximum=120, handling={"range": {"max_share": 0.005}})
    with pytest.raises(SchemaError, match=r"age: range: 2 of 200 rows break it \(1\.0%\), wanted at most 0\.5%"):
        prepared(contract(with_faults(), tmp_path, columns=[rule]), tmp_path)


def test_a_rule_between_columns_also_of_one_that_is_not_kept(tmp_path: Path):
    rows = [
        {"name": "old enough", "expression": "age >= 18 or city == 'Atown'"},
        {"name": "known", "expression": "`id` < 150", "action": "warn"},
    ]
    data = contract(with_faults(), tmp_path, rows=rows, columns=[age()]).model_copy(
        update={"features": ("age", "city")}
    )
    store, digest, manifest = prepared(data, tmp_path)
    assert refused(store, digest) == [(30, "age: type")]  # row 3 is of Atown
    assert findings(manifest)[("known", "warn")] == 50
    assert "id" not in kept(store, manifest)[0]


def test_a_key_is_unique_over_all_shards(tmp_path: Path):
    lines = table()
    lines[150] = lines[7]
    lines[151] = "6,44,Ctown,n"
    data = contract(lines, tmp_path, unique=[{"columns": ["id"]}]).model_copy(update={"features": ("age", "city")})
    store, digest, manifest = prepared(data, tmp_path)
    gone = [row for row, rule in refused(store, digest) if rule == "unique id"]
    assert len(gone) == 2
    assert len({7, 150, 151} - set(gone)) == 1
    assert [row["_row"] for row in kept(store, manifest)] == [row for row in range(1, 201) if row not in gone]
    assert manifest.meta["rows_in"] == manifest.meta["rows_out"] + manifest.meta["rows_quarantined"] == 200
    assert sum(manifest.meta["splits"].values()) == 198
    assert manifest.meta["profile"]["age"]["rows"] == manifest.meta["splits"]["train"]


def test_the_same_key_is_found_in_partitions_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = [*table(), *table()[1:]]
    data = contract(lines, tmp_path, unique=[{"columns": ["id", "city"]}])
    whole = prepared(data, tmp_path / "whole")[1]
    monkeypatch.setattr("tasks.frames.uniqueness.PARTITION_ROWS", 30)
    _, digest, manifest = prepared(data, tmp_path / "parts")
    assert digest == whole
    assert manifest.meta["rows_quarantined"] == 200


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"column": "city", "value": "Atown", "maximum": 0.2}, "'Atown' in 34.0% of the rows, wanted 0.0% to 20.0%"),
        ({"column": "age", "maximum": 0.001}, "missing in 0.5% of the rows, wanted 0.0% to 0.1%"),
    ],
)
def test_a_share_that_is_not_as_expected_is_told_or_stops(tmp_path: Path, rule: dict[str, Any], words: str):
    lines = table()
    lines[20] = "19,,Atown,y"
    _, _, manifest = prepared(contract(lines, tmp_path, shares=[rule]), tmp_path)
    assert words in manifest.meta["findings"][0]["example"]
    with pytest.raises(SchemaError, match=words.replace(".", r"\.")):
        prepared(contract(lines, tmp_path, shares=[{**rule, "action": "fail"}]), tmp_path)


def test_a_closed_contract_refuses_a_column_that_it_does_not_name(tmp_path: Path):
    with pytest.raises(SchemaError, match="has a column 'id' that it does not name"):
        prepared(contract(table(), tmp_path, closed=True, columns=[age()]), tmp_path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rows": [{"name": "r", "expression": "age > 'a'"}]}, "a text and a number are not compared"),
        ({"rows": [{"name": "r", "expression": "agee > 1"}]}, "no column 'agee'.*did you mean 'age'"),
        ({"columns": [{"name": "city", "type": "category", "pattern": "a(?=b)"}]}, "is no RE2 pattern"),
        ({"rows": [{"name": "r", "expression": "matches(city, 'a(?=b)')"}]}, "invalid perl operator"),
        (
            {"columns": [age(handling={"range": {"action": "fix", "fix": "constant", "value": "x"}})]},
            "found 'x' as what",
        ),
        ({"shares": [{"column": "age", "value": "3"}]}, "of type integer"),
    ],
)
def test_a_rule_that_cannot_be_carried_out_is_refused_before_any_shard(
    tmp_path: Path, more: dict[str, Any], words: str
):
    with pytest.raises((ConfigError, SchemaError), match=words):
        prepared(contract(table(), tmp_path, **more), tmp_path)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (age(pattern="x"), "for texts and categories"),
        (age(handling={"range": {"action": "fix"}}), "wanted `fix` with action fix"),
        (age(handling={"missing": {"action": "fix", "fix": "clip"}}), "cannot be fixed by clip"),
        (age(handling={"type": {"action": "warn"}}), "warn keeps no value"),
    ],
)
def test_a_mistake_in_a_rule_is_told_when_it_is_read(rule: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        ColumnRule.model_validate(rule)


def test_a_limit_changes_no_shard(tmp_path: Path):
    first = contract(table(), tmp_path, columns=[age(maximum=120)])
    again = contract(table(), tmp_path, columns=[age(maximum=120, handling={"range": {"max_share": 0.5}})])
    assert first.contract.of_a_shard()["columns"][0]["maximum"] == again.contract.of_a_shard()["columns"][0]["maximum"]
    assert "max_share" not in str(again.contract.of_a_shard())
