"""`millrace quarantine` and `millrace contract` over a real data set: shown, exported, run through again, enforced."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from contracts import prepared, table, written

from flows.cli import main
from flows.datasets import source_changes
from flows.settings import resolve
from storage.errors import SchemaError
from storage.runs import new_run_id, put_run

RULE = {"name": "age", "type": "integer", "minimum": 0, "maximum": 120}


def lines() -> list[str]:
    found = table()
    found[3], found[9], found[30] = "2,-5,Atown,y", "8,130,Btown,n", "29,x,Atown,n"
    return found


def a_run(folder: Path, content: list[str], run_id: str = "", **more: Any) -> tuple[str, str]:
    """A run of pipeline `ages` that has prepared its data set: its id, and the store."""
    data = written(folder, content, max_quarantined_share=0.5, **({"columns": [RULE]} | more))
    given = {"name": "ages", "data": data.model_dump(mode="json"), "train": {"family": "sklearn"}}
    config = resolve(config=given).model_dump(mode="json")
    store, digest, _ = prepared(data, folder)
    run_id = run_id or new_run_id()
    step = {"name": "prepare", "step": "prepare", "output": digest}
    run = {"pipeline": "ages", "status": "finished", "error": "", "config": config, "steps": [step], "summary": None}
    put_run(store, run_id, run)
    return run_id, str(folder / "store")


def test_refused_rows_are_shown_by_rule_with_origin_and_raw_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_id, store = a_run(tmp_path, lines())
    for name in (run_id, run_id[:17], "last", "ages"):
        assert main(["quarantine", name, "--storage", store]) == 0
        said = capsys.readouterr().out
        assert "3 of 200 rows refused" in said
        assert "age: range: 2 rows, in rows.csv (2)" in said
        assert "rows.csv row 30: column 'age': found 'x', wanted an integer" in said
        assert '"age":"x"' in said


def test_one_rule_and_few_examples_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_id, store = a_run(tmp_path, lines())
    assert main(["quarantine", run_id, "--storage", store, "--rule", "age: range", "--limit", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["rule"], one["rows"], len(one["examples"])) for one in told["rules"]] == [("age: range", 2, 1)]
    assert main(["quarantine", run_id, "--storage", store, "--rule", "rnage"]) == 1
    assert "rule 'rnage' refused no row; wanted one of age: range, age: type" in capsys.readouterr().err


def test_refused_rows_are_exported(tmp_path: Path):
    run_id, store = a_run(tmp_path, lines())
    for name in ("refused.parquet", "refused.csv"):
        assert main(["quarantine", run_id, "--storage", store, "--export", str(tmp_path / name)]) == 0
    assert pq.read_table(tmp_path / "refused.parquet").column("_row").to_pylist() == [3, 9, 30]
    with (tmp_path / "refused.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["age: range", "age: range", "age: type"]
    assert main(["quarantine", run_id, "--storage", store, "--export", str(tmp_path / "refused.xlsx")]) == 2


def test_a_replay_says_what_passes_after_the_source_is_corrected(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_id, store = a_run(tmp_path, lines())
    fixed = lines()
    fixed[3], fixed[30] = "2,5,Atown,y", "29,-7,Atown,n"
    (tmp_path / "rows.csv").write_text("\n".join(fixed) + "\n")
    assert main(["quarantine", run_id, "--storage", store, "--replay", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["refused"]) == ({"age: range": 1}, {"age: range": 2})
    assert "found '130'" in told["examples"]["age: range"]


def test_a_replay_says_what_passes_under_another_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_id, store = a_run(tmp_path, lines())
    rule = 'data.columns=[{"name": "age", "type": "integer", "minimum": -10, "maximum": 150}]'
    before = sorted(path.name for path in Path(store, "manifests").rglob("*"))
    assert main(["quarantine", run_id, "--storage", store, "--replay", "--set", rule]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 refused rows pass now" in said
    assert "nothing was changed" in said
    assert sorted(path.name for path in Path(store, "manifests").rglob("*")) == before


def test_a_replay_names_rows_that_are_not_there_any_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_id, store = a_run(tmp_path, lines())
    (tmp_path / "rows.csv").write_text("\n".join(lines()[:10]) + "\n")
    assert main(["quarantine", run_id, "--storage", store, "--replay", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gone"] == {"age: type": 1}


def test_the_rows_of_a_run_that_was_stopped_for_them_can_be_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data = written(tmp_path, lines(), max_quarantined_share=0.01, columns=[RULE])
    with pytest.raises(SchemaError, match=r"3 of 200 rows are refused.*millrace quarantine [0-9a-f]{64}") as stopped:
        prepared(data, tmp_path)
    assert main(["quarantine", str(stopped.value)[-64:], "--storage", str(tmp_path / "store")]) == 0
    assert "3 of 200 rows refused" in capsys.readouterr().out


def test_a_contract_is_inferred_written_and_enforced(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    _, store = a_run(tmp_path / "first", table(), columns=[])
    file = tmp_path / "contract.yaml"
    assert main(["contract", "ages", "--storage", store, "--write", str(file)]) == 0
    rules = {rule["name"]: rule for rule in yaml.safe_load(file.read_text())["columns"]}
    assert (rules["age"]["minimum"], rules["age"]["maximum"], rules["age"]["nullable"]) == (20, 59, False)
    assert rules["city"]["categories"] == ["Atown", "Btown", "Ctown"]
    assert {"columns": ["id"], "action": "warn"} in yaml.safe_load(file.read_text())["unique"]
    config = resolve("digits", {"data": {"contract": str(file)}})
    assert config.data.contract.columns[0].name == "id"

    later = [*table(), "200,61,Dtown,y", "201,,Atown,n", "7,30,Atown,y"]
    contract = config.data.contract.model_dump(mode="json")
    data = written(tmp_path / "later", later, contract=contract)
    _, _, manifest = prepared(data, tmp_path / "later")
    told = {(one["rule"], one["action"]): one["count"] for one in manifest.meta["findings"]}
    assert told == {
        ("age: missing", "quarantine"): 1,
        ("age: range", "warn"): 1,
        ("city: category", "warn"): 1,
        ("id: range", "warn"): 1,
        ("unique id", "warn"): 1,
    }


def test_a_data_set_keeps_its_own_contract(tmp_path: Path):
    """All rows of which it was inferred fulfil it."""
    _, store = a_run(tmp_path / "first", table(), columns=[])
    file = tmp_path / "contract.yaml"
    assert main(["contract", "ages", "--storage", store, "--write", str(file)]) == 0
    data = written(tmp_path / "again", table(), contract=yaml.safe_load(file.read_text()))
    manifest = prepared(data, tmp_path / "again")[2]
    assert manifest.meta["findings"] == []
    assert manifest.meta["rows_quarantined"] == 0


def test_a_changed_source_says_what_changed_and_the_digest_knows_nothing_of_it(tmp_path: Path):
    first, _ = a_run(tmp_path, table(), "20260101-000000-00000001", columns=[])
    changed = ["age,city,size,label", *(f"{n % 50},{'ABD'[n % 3]}town,{n % 7},{'yn'[n % 2]}" for n in range(200))]
    for number in range(10, 60):
        changed[number] = f",{'ABD'[number % 3]}town,1,y"
    second, _ = a_run(tmp_path, changed, "20260101-000000-00000002", columns=[])
    store, digest, _ = prepared(written(tmp_path, changed, max_quarantined_share=0.5), tmp_path)
    assert source_changes(store, digest, "ages", second) == (
        "column 'size' is new",
        "column 'id' is missing",
        "column 'age': least value 20 → 0",
        "column 'age': missing in 0.0% → 25.0% of the rows",
        "column 'city': new value 'Dtown'",
        "column 'city': no more 'Ctown'",
    )
    assert source_changes(store, digest, "ages", first) == ()
    assert prepared(written(tmp_path / "afresh", changed, max_quarantined_share=0.5), tmp_path / "afresh")[1] == digest
