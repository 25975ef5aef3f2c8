"""A user's own pass over checked rows: what it may do, what it may not, and that its code counts."""

import sys
from pathlib import Path

import pytest
from cleaned import messy, prepared, reviews, write_reviews

from storage.errors import ConfigError, SchemaError
from storage.objects import open_store
from tasks.frames.quarantine import read_filtered

OWN = """
def good(rows):
    rows["text"] = rows["text"].str.replace("film", "picture")
    return rows[rows["text"].str.contains("number [0-9]*[02468],")]

def shouts(rows):
    raise RuntimeError("no")

def forgets(rows):
    return rows[["label"]]

def empties(rows):
    rows["text"] = None
    return rows
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "ownpasses.py").write_text(OWN)
    write_reviews(tmp_path / "a.csv", [messy(number) for number in range(0, 300, 5)])
    yield tmp_path
    sys.modules.pop("ownpasses", None)


def test_ones_own_pass_changes_values_and_leaves_rows_out_under_its_name(own: Path):
    store = open_store(str(own / "store"))
    section = reviews(own, [{"kind": "html"}, {"kind": "function", "name": "ownpasses:good"}])
    digest, manifest, rows = prepared(section, store)
    assert manifest.meta["filtered"] == [{"rule": "ownpasses:good", "count": 30}]
    assert all("picture that we have seen" in row["text"] for row in rows)
    assert "film" in read_filtered(store, digest, 1)[0]["raw"]
    (own / "ownpasses.py").write_text(OWN.replace("[02468]", "[13579]"))
    assert prepared(section, store)[0] != digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shouts", r"data.passes function ownpasses:shouts, a.csv row 1 to a.csv row 20: raised RuntimeError: no"),
        ("forgets", r"returned no column 'text', wanted all that are given"),
        ("empties", r"returned no value in some row of column 'text'"),
    ],
)
def test_ones_own_pass_that_does_not_keep_its_promise_is_named(name: str, message: str, own: Path):
    with pytest.raises(SchemaError, match=message):
        prepared(reviews(own, [{"kind": "function", "name": f"ownpasses:{name}"}]), open_store(str(own / "store")))


def test_ones_own_pass_that_is_not_there_is_named(own: Path):
    with pytest.raises(ConfigError, match=r"ownpasses:better: module 'ownpasses' has no 'better'; correct the name"):
        prepared(reviews(own, [{"kind": "function", "name": "ownpasses:better"}]), open_store(str(own / "store")))
