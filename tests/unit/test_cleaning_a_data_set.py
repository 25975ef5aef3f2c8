"""Passes in stage prepare and after it: counts reconcile, filtered rows are kept, and a client's raw item gets what its clean form gets."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cleaned import WORDS, messy, prepared, reviews, write_reviews

from storage.errors import ConfigError, SchemaError
from storage.manifests import put_files
from storage.objects import open_store
from tasks.frames import assembling, shards
from tasks.frames.fitting import fit_transforms
from tasks.frames.pinned import check_pinned
from tasks.frames.quarantine import read_filtered, read_quarantine
from tasks.sections import DataSection, TransformsSection
from tasks.transforms import ItemError, Transforms
from tasks.transforms.columns import Coded, Numbers, Objects

CHANGES = [{"kind": "unicode", "form": "NFKC"}, {"kind": "html"}, {"kind": "whitespace"}, {"kind": "pii"}]
FILTERS = [{"kind": "length", "minimum": 30}, {"kind": "gopher", "min_words": 5, "min_stop_words": 2}]


def texts() -> list[str]:
    """Messy ones, and some that passes leave out: short, no prose, nothing but tags, and one that is escaped for ever."""
    return [
        *map(messy, range(90)),
        *["<p>Too short.</p>"] * 4,
        *["qwertz uiopü asdfg hjklö yxcvb nmqwe rtzui " + str(number) for number in range(5)],
        "<p> </p>",
        f"{WORDS} &" + "amp;" * 12 + "lt;",
        "",
    ]


def test_rows_in_are_rows_out_quarantined_and_filtered_in_each_shard_and_in_all(tmp_path: Path):
    write_reviews(tmp_path / "a.csv", texts())
    store = open_store(str(tmp_path / "store"))
    digest, manifest, rows = prepared(reviews(tmp_path, [*CHANGES, *FILTERS]), store)
    meta = manifest.meta
    assert {one["rule"]: one["count"] for one in meta["filtered"]} == {
        "length.minimum": 4,
        "quality.gopher.stop_words": 5,
        "html.empty": 1,
        "cleaning.unsettled": 1,
    }
    assert (meta["rows_in"], meta["rows_out"], meta["rows_quarantined"], meta["rows_filtered"]) == (102, 90, 1, 11)
    for shard in meta["shards"]:
        assert shard["rows_in"] == shard["rows_out"] + shard["rows_quarantined"] + shard["rows_filtered"]
    kept, refused = read_filtered(store, digest, 1000), read_quarantine(store, digest, 1000)
    origins = Counter((row["_file"], row["_row"]) for row in [*rows, *kept, *refused])
    assert origins == {("a.csv", number): 1 for number in range(1, 103)}
    first = next(row for row in kept if row["rule"] == "length.minimum")
    assert "<p>Too short.</p>" in first["raw"]
    assert first["reason"] == "column 'text': found 10, wanted at least 30 characters"


def test_stored_rows_are_clean_and_hashed_as_cleaned(tmp_path: Path):
    write_reviews(
        tmp_path / "a.csv",
        [f"{WORDS} {number}" for number in range(60)] + [f" {WORDS}&nbsp; {number}" for number in range(60)],
    )
    store = open_store(str(tmp_path / "store"))
    _, _, rows = prepared(reviews(tmp_path, CHANGES), store)
    assert [row["text"] for row in rows[:60]] == [row["text"] for row in rows[60:]]
    assert Counter(row["text"] for row in rows)[f"{WORDS} 7"] == 2


def test_a_sum_that_does_not_hold_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_reviews(tmp_path / "a.csv", texts())
    section, clean = reviews(tmp_path, [*CHANGES, *FILTERS]), shards.clean
    store = open_store(str(tmp_path / "store"))
    _, manifest, _ = prepared(section, store)
    monkeypatch.setattr(shards, "clean", lambda *given: (made := clean(*given))._replace(refused=made.refused[1:]))
    with pytest.raises(SchemaError, match=r"20 rows in, but 10 out, 0 quarantined and 9 filtered"):
        prepared(section, open_store(str(tmp_path / "other")))
    monkeypatch.undo()
    counted = assembling._counted
    monkeypatch.setattr(
        assembling, "_counted", lambda some, fact: counted(some[:-1] if fact == "filtered" else some, fact)
    )
    with pytest.raises(SchemaError, match=r"102 rows in, but 90 out, 1 quarantined"):
        prepared(section, store)
    assert manifest.meta["rows_filtered"] == 11


def test_where_all_rows_are_filtered_the_rules_are_named(tmp_path: Path):
    write_reviews(tmp_path / "a.csv", [messy(number) for number in range(40)])
    with pytest.raises(
        SchemaError, match=r"no rows for .* \(40 were filtered by data.passes, most by length.minimum: 40\)"
    ):
        prepared(reviews(tmp_path, [{"kind": "length", "minimum": 1000}]), open_store(str(tmp_path / "store")))


def test_other_parameters_make_other_shards_and_the_same_ones_none(tmp_path: Path):
    write_reviews(tmp_path / "a.csv", texts())
    store = open_store(str(tmp_path / "store"))
    passes: list[list[dict[str, Any]]] = [
        [],
        CHANGES,
        CHANGES[::-1],
        [*CHANGES[:3], {"kind": "pii", "find": ["email"]}],
    ]
    digests = [prepared(reviews(tmp_path, some, max_quarantined_share=0.2), store)[0] for some in passes]
    records = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    again = [prepared(reviews(tmp_path, some, max_quarantined_share=0.2), store)[0] for some in passes]
    assert len(set(digests)) == 4
    assert again == digests
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == records


def test_what_is_personal_is_in_nothing_that_is_kept(tmp_path: Path):
    bad = [f"mail{number}@example.com" for number in range(3)]
    write_reviews(tmp_path / "a.csv", [*map(messy, range(60)), *bad])
    store = open_store(str(tmp_path / "store"))
    section = reviews(
        tmp_path,
        [{"kind": "length", "minimum": 40}, {"kind": "pii"}],
        columns=[{"name": "text", "type": "text"}, {"name": "label", "type": "category", "categories": ["a"]}],
        max_quarantined_share=1.0,
    )
    digest, manifest, rows = prepared(section.model_copy(update={"max_quarantined_share": 1.0}), store)
    kept = [*rows, *read_filtered(store, digest, 100), *read_quarantine(store, digest, 100)]
    assert len(kept) == 63
    assert manifest.meta["rows_quarantined"] == 31
    assert "example.com" not in str(kept)
    assert "<EMAIL>" in str(rows)
    assert "<EMAIL>" in str(read_filtered(store, digest, 100))


@pytest.fixture
def fitted(tmp_path: Path) -> tuple[Transforms, list[str], list[str]]:
    """Transforms of cleaned reviews; raw texts of the rows that stayed, and their clean form."""
    write_reviews(tmp_path / "a.csv", texts())
    store = open_store(str(tmp_path / "store"))
    digest, _, rows = prepared(reviews(tmp_path, [*CHANGES, *FILTERS]), store)
    raw = texts()
    return (
        Transforms.load(fit_transforms(TransformsSection(), store, digest)),
        [raw[row["_row"] - 1] for row in rows],
        [row["text"] for row in rows],
    )


def test_the_service_answers_a_raw_item_as_its_clean_form(fitted: tuple[Transforms, list[str], list[str]]):
    transforms, raw, clean = fitted
    parsed = transforms.parse(raw)
    assert parsed == {"text": clean}
    assert transforms.parse(clean) == parsed
    assert [transforms.parse([text])["text"][0] for text in raw] == clean
    np.testing.assert_array_equal(transforms.features(parsed), transforms.features({"text": clean}))
    assert raw != clean


def test_batch_prediction_cleans_as_the_service_does(fitted: tuple[Transforms, list[str], list[str]]):
    transforms, raw, clean = fitted
    given = [*raw[:3], "<b></b>", *raw[3:], None]
    sifted = transforms.sift(
        {
            "text": Coded(
                list(dict.fromkeys(given)), np.array([list(dict.fromkeys(given)).index(text) for text in given])
            )
        }
    )
    assert list(sifted.columns["text"]) == clean
    assert sifted.rows.tolist() == [*range(3), *range(4, len(raw) + 1)]
    assert [(one.row, one.rule) for one in sifted.refused] == [(3, "empty"), (len(raw) + 1, "value")]


def test_an_item_of_which_nothing_is_left_is_refused_and_named(fitted: tuple[Transforms, list[str], list[str]]):
    transforms, raw, _ = fitted
    with pytest.raises(ItemError, match=r"item 1: column 'text': nothing is left of the text after cleaning"):
        transforms.parse([raw[0], "<b></b>"])
    with pytest.raises(ItemError, match=r"item 0: .* does not come to rest"):
        transforms.parse(["x &" + "amp;" * 12 + "lt;"])


def table(folder: Path) -> tuple[DataSection, list[dict[str, Any]]]:
    rng = np.random.default_rng(3)
    rows = [
        {"x": float(x), "n": int(n), "c": c, "label": "ab"[n % 2]}
        for x, n, c in zip(
            rng.normal(size=90) * 9, rng.integers(0, 9, 90), rng.choice(["Red ", "blue", ""], 90), strict=True
        )
    ]
    lines = [
        "x,n,c,label",
        *(f"{row['x'] if number % 9 else ''},{row['n']},{row['c']},{row['label']}" for number, row in enumerate(rows)),
    ]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    passes = [
        {"kind": "clip", "columns": ["x"], "minimum": -5, "maximum": 5},
        {"kind": "missing", "columns": ["c"], "action": "constant", "value": "none"},
        {"kind": "lowercase", "columns": ["c"]},
        {"kind": "missing", "columns": ["x"]},
    ]
    return DataSection.model_validate(
        {
            "sources": [{"url": "a.csv"}],
            "root": str(folder),
            "kind": "table",
            "passes": passes,
            "columns": [
                {"name": "c", "type": "category"},
                {"name": "x", "type": "number"},
                {"name": "n", "type": "integer"},
            ],
        }
    ), rows


def test_columns_of_a_table_are_clipped_and_filled_here_and_in_the_service(tmp_path: Path):
    section, rows = table(tmp_path)
    store = open_store(str(tmp_path / "store"))
    digest, manifest, stored = prepared(section, store)
    assert manifest.meta["filtered"] == [{"rule": "missing", "count": 10}]
    assert max(abs(row["x"]) for row in stored) == 5
    assert {row["c"] for row in stored} == {"red", "blue", "none"}
    transforms = Transforms.load(fit_transforms(TransformsSection(), store, digest))
    items = [{name: row[name] for name in transforms.input.columns} for row in rows]
    kept = [row["_row"] - 1 for row in stored]
    x = transforms.features(transforms.parse(items))[kept]
    np.testing.assert_array_equal(
        x, transforms.features({name: [row[name] for row in stored] for name in transforms.input.columns})
    )
    columns = {
        "x": Numbers(np.array([row["x"] for row in rows]), np.zeros(90, bool)),
        "n": Objects([row["n"] for row in rows]),
        "c": Objects([row["c"] for row in rows]),
    }
    np.testing.assert_array_equal(transforms.features(transforms.sift(columns).columns)[kept], x)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (
            {"kind": "clip", "columns": ["nn"], "minimum": 0},
            r"data.passes\[0\].columns: 'nn' is no feature; wanted one of .*did you mean 'n'\?",
        ),
        ({"kind": "clip", "columns": ["label"], "minimum": 0}, "is the target, which is not cleaned"),
        ({"kind": "clip", "columns": ["c"], "minimum": 0}, r"column 'c' is of type category, wanted integer or number"),
        ({"kind": "clip", "columns": ["n"], "minimum": 0.5}, r"column 'n' is of integers, found 0.5"),
        ({"kind": "missing", "columns": ["c"], "action": "constant", "value": 3.0}, r"column 'c' is of type category"),
        ({"kind": "html"}, r"found no feature of type text or passage; name columns"),
    ],
)
def test_a_pass_that_suits_no_column_is_refused_before_any_row_is_read(
    one: dict[str, Any], message: str, tmp_path: Path
):
    section, _ = table(tmp_path)
    wrong = DataSection.model_validate({**section.model_dump(), "passes": [one]})
    with pytest.raises(ConfigError, match=message):
        prepared(wrong, open_store(str(tmp_path / "store")))


def test_pinned_transforms_of_other_passes_are_refused(tmp_path: Path):
    write_reviews(tmp_path / "a.csv", texts())
    store = open_store(str(tmp_path / "store"))
    first, second = (prepared(reviews(tmp_path, some), store)[0] for some in (CHANGES, CHANGES[:2]))
    pinned = put_files(store, "transforms", fit_transforms(TransformsSection(), store, first), {})
    check_pinned(store, pinned, first)
    with pytest.raises(SchemaError, match=r"are pinned, and were fitted on rows that other passes had changed"):
        check_pinned(store, pinned, second)
