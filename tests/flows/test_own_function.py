"""A user's own function over raw rows: what it does to them, what it may not do, and that its code is part of the key."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from odd_workers import odd
from tables import section, write_csv

from flows.steps import PREPARE
from infra.agreement import Work
from infra.clusters import open_cluster
from storage.errors import ConfigError, SchemaError
from storage.manifests import read_manifest
from storage.objects import open_store
from tasks.frames.identity import identified, source_identity
from tasks.frames.pieces import plan_group
from tasks.frames.prepare import prepare_dataset
from tasks.frames.quarantine import read_quarantine
from tasks.frames.raw import Raw
from tasks.frames.reading import read_piece
from tasks.frames.sources import find_groups
from tasks.sections import ClusterSection, DataSection

TIDY = """
import ownunits

def tidy(rows):
    rows["twice"] = ownunits.twice(rows["n"])
    rows["colour"] = rows["colour"].str.upper()
    return rows[rows["colour"] != "BLUE"]

def other(rows):
    return rows
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a table and a user's modules in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    write_csv(tmp_path / "rows.csv")
    (tmp_path / "ownrows.py").write_text(TIDY)
    (tmp_path / "ownunits.py").write_text("def twice(n): return n.astype('float64') * 2\n")
    yield tmp_path
    for name in ("ownrows", "ownunits"):
        sys.modules.pop(name, None)


def data(function: str, **more: object) -> DataSection:
    columns = [{"name": "x", "type": "number"}]
    return section(
        sources=[{"url": "rows.csv"}],
        columns=columns,
        shard_rows=50,
        function=function,
        max_quarantined_share=0.9,
        **more,
    )


def first(section: DataSection) -> Raw:
    """The first shard as read."""
    return read_piece(section, plan_group(section, find_groups(section)[0])[0])


def test_columns_are_changed_and_added_and_rows_left_out_under_its_name():
    raw = first(data("ownrows:tidy"))
    assert set(raw.table.column("colour").to_pylist()) == {"RED"}
    row = raw.table.slice(3, 1).to_pylist()[0]
    assert row["twice"] == 2 * int(row["n"])
    assert row["_file"] == "rows.csv"
    left_out = [refusal for refusal in raw.refused if refusal.rule == "left out by ownrows:tidy"]
    assert raw.table.num_rows + len(raw.refused) == 50
    assert len(left_out) > 10
    assert '"colour":"blue"' in left_out[0].raw


def test_rows_keep_their_order_and_origin_whatever_the_function_does_to_it(folder: Path):
    (folder / "ownrows.py").write_text("def tidy(rows): return rows.sample(frac=1, random_state=1)\n")
    assert first(data("ownrows:tidy")).table.equals(first(data("")).table)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "1 / 0",
            r"data.function ownrows:tidy, rows.csv rows 1 to 50: raised ZeroDivisionError: division by zero; correct",
        ),
        ("raise ValueError('a\\nb')", "raised ValueError: a; correct"),
        ("return None", r"returned NoneType, wanted a pandas.DataFrame"),
        ("import pandas; return pandas.concat([rows, rows])", r"returned 98 rows, wanted at most the 49 given"),
        ("return rows[5:].reset_index(drop=True).rename(lambda n: n + 40)", r"found 49 in the returned index"),
        ("return rows.set_index('x')", r"found '.*' in the returned index"),
        ("return rows.iloc[[1, 1]]", r"found a label twice in the returned index"),
        ("rows['_row'] = 1; return rows", r"returned a column '_row', wanted names that are texts other than"),
        ("rows['a'] = [1, 'b'] + [None] * 47; return rows", r"returned a column of mixed values"),
    ],
)
def test_what_it_may_not_do_is_told_with_its_name_and_the_shard(folder: Path, body: str, message: str):
    (folder / "ownrows.py").write_text(f"def tidy(rows):\n    {body}\n")
    with pytest.raises(SchemaError, match=message):
        first(data("ownrows:tidy"))


@pytest.mark.parametrize(
    ("function", "text", "message"),
    [
        ("ownrow:tidy", "", r"found no module 'ownrow' \(looked in .* and PYTHONPATH\)"),
        (
            "ownrows:tidy",
            "import absent_library",
            r"found no module 'absent_library' \(looked in ownrows, which needs it\)",
        ),
        ("ownrows:tidy", "1 / 0", r"module ownrows cannot be loaded \(ZeroDivisionError: division by zero\)"),
        ("ownrows:clean", "def tidy(rows): return rows", r"module ownrows \(.*ownrows.py\) has no function 'clean'"),
    ],
)
def test_a_function_that_cannot_be_had_is_named(folder: Path, function: str, text: str, message: str):
    (folder / "ownrows.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        first(data(function))


def key(section: DataSection) -> str:
    inputs = {"data": section, "cluster": ClusterSection(), "identity": source_identity(section)}
    return PREPARE.cache.parts(inputs).key


def test_its_code_and_what_that_reaches_is_part_of_the_key_and_nothing_else_of_the_file(folder: Path):
    known = key(data("ownrows:tidy"))
    (folder / "ownrows.py").write_text(TIDY.replace("def other(rows):", "def other(rows):  # words\n    1 + 1"))
    assert key(data("ownrows:tidy")) == known
    (folder / "ownunits.py").write_text("def twice(n): return n.astype('float64') * 3\n")
    changed = key(data("ownrows:tidy"))
    assert len({known, changed, key(data("ownrows:other")), key(data(""))}) == 4


def test_a_change_is_seen_by_a_process_that_has_loaded_it_by_its_key_as_by_what_it_does(folder: Path):
    before, known = first(data("ownrows:tidy")), key(data("ownrows:tidy"))
    (folder / "ownunits.py").write_text("def twice(n): return n.astype('float64') * 3\n")
    after = first(data("ownrows:tidy"))
    assert key(data("ownrows:tidy")) != known
    assert after.table.column("twice")[3].as_py() * 2 == before.table.column("twice")[3].as_py() * 3


def test_what_it_imports_on_its_way_is_loaded_anew_too_when_it_has_changed(folder: Path):
    (folder / "ownrows.py").write_text(
        TIDY.replace("import ownunits", "").replace("    rows[", "    import ownunits\n    rows[", 1)
    )
    before = first(data("ownrows:tidy"))
    (folder / "ownunits.py").write_text("def twice(n): return n.astype('float64') * 3\n")
    for _ in range(2):
        after = first(data("ownrows:tidy"))
        assert after.table.column("twice")[3].as_py() * 2 == before.table.column("twice")[3].as_py() * 3


def test_shards_of_code_that_was_edited_in_the_middle_and_put_back_are_not_kept(folder: Path):
    store = open_store(str(folder / "store"))
    for number in range(6):
        (folder / f"many{number}.csv").write_text("n,colour,label\n" + f"{number},red,a\n{number},green,b\n" * 5)
    told = {"kind": "table", "format": "csv", "target": "label", "sources": [{"url": "many*.csv"}]}
    tidy = DataSection.model_validate({**told, "function": "ownrows:tidy"})

    def edit(event: dict) -> None:
        done = None if "event" in event else event.get("done")
        if done in (1, 3):
            text = TIDY.replace("upper()", "lower()") if done == 1 else TIDY
            (folder / "ownrows.py").write_text(text)

    with pytest.raises(ConfigError, match="its code was changed while it ran"):
        prepare_dataset(tidy, identified(tidy), store, nullcontext, edit, alone=True)
    (folder / "ownrows.py").write_text(TIDY)
    again = prepare_dataset(tidy, identified(tidy), store, nullcontext, lambda event: None, alone=True)
    afresh = open_store(str(folder / "afresh"))
    assert again == prepare_dataset(tidy, identified(tidy), afresh, nullcontext, lambda event: None, alone=True)


def test_what_cannot_be_read_beforehand_keeps_the_step_from_being_cached(folder: Path):
    (folder / "ownrows.py").write_text("def tidy(rows):\n    exec('1')\n    return rows\n")
    parts = PREPARE.cache.parts({"data": data("ownrows:tidy"), "identity": {}})
    assert parts.reach.obstacles == (
        "ownrows, line 2: exec() runs or finds what cannot be read beforehand; call functions by their names",
    )
    (folder / "ownrows.py").write_text("for name in ('tidy',):\n    globals()[name] = lambda rows: rows\n")
    parts = PREPARE.cache.parts({"data": data("ownrows:tidy"), "identity": {}})
    assert any("'tidy' is made while the module is loaded" in obstacle for obstacle in parts.reach.obstacles)
    assert first(data("ownrows:tidy")).table.num_rows == 49


def test_the_workers_of_a_cluster_have_it_and_counts_reconcile(folder: Path):
    store = open_store(str(folder / "store"))
    with open_cluster(ClusterSection(workers=1, memory_gib=1.0)) as client:
        located = identified(data("ownrows:tidy"))
        digest = prepare_dataset(data("ownrows:tidy"), located, store, lambda: nullcontext(client), lambda event: None)
    meta = read_manifest(store, digest).meta
    rules = {entry["rule"]: entry["count"] for entry in meta["quarantine"]}
    assert rules["left out by ownrows:tidy"] > 200
    assert meta["rows_in"] == meta["rows_out"] + meta["rows_quarantined"] == 600
    assert "twice" in meta["features"]
    assert {row["rule"] for row in read_quarantine(store, digest, 400)} == {
        "left out by ownrows:tidy",
        "ragged",
        "type",
    }


def test_a_worker_elsewhere_that_lacks_it_or_has_another_is_named(folder: Path):
    work = Work("tasks.frames.prepare", str(folder / "store"), own=("ownrows:tidy",))
    mischief = {
        "import os; os.chdir('/')": r"worker tcp://.* cannot begin the work \(ownrows:tidy: module 'ownrows' has no Python source"
    }
    other = folder / "other"
    other.mkdir()
    (other / "ownrows.py").write_text("def tidy(rows): return rows\n")
    mischief[f"import sys; sys.path.insert(0, {str(other)!r})"] = (
        "has other code of Millrace or in ownrows:tidy than this run"
    )
    for before, message in mischief.items():
        with (
            odd(before, folder) as section,
            pytest.raises(ConfigError, match=message),
            open_cluster(section, work=work),
        ):
            pass
