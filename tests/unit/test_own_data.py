"""One line for one's own file: what is guessed from a sample of it, why, and what is said where it will not do."""

from pathlib import Path
from typing import Any

import pytest
from own_rows import HEAD, rows, said, texts, write

from flows.own_data import OwnData, infer, keep
from flows.settings import load_config, resolve
from storage.errors import ConfigError, NotFound, SchemaError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("name", "delimiter"), [("m.csv", ","), ("m.csv", ";"), ("m.txt", "\t"), ("m.tsv", "\t"), ("m.data", "|")]
)
def test_the_delimiter_and_the_header_are_found(name: str, delimiter: str, tmp_path: Path):
    own = infer(write(tmp_path / name, HEAD, rows(), delimiter), target="edible")
    assert own.config.data.format == ("tsv" if name == "m.tsv" else "csv")
    assert own.config.data.format == "tsv" or own.config.data.csv.delimiter == delimiter
    assert own.config.data.csv.header
    assert own.config.data.features == ("size", "colour")
    assert {rule.name: rule.type for rule in own.config.data.columns} == {"size": "number", "colour": "category"}


@pytest.mark.parametrize(
    ("encoding", "word"), [("gb18030", "很好吃的菜"), ("cp1252", "très bon café"), ("utf-16", "très bon café")]
)
def test_a_file_in_another_encoding_is_read_in_it(encoding: str, word: str, tmp_path: Path):
    lines = ["label\treview", *(f"{n % 2}\t{word} {n} {text}" for n, text in enumerate(texts(60)))]
    (tmp_path / "m.tsv").write_bytes("\n".join(lines).encode(encoding))
    config = infer(str(tmp_path / "m.tsv"), target="label").config
    assert config.data.encoding == ("auto" if encoding == "utf-16" else encoding)
    assert (config.data.kind, config.data.features) == ("text", ("review",))


def test_a_file_without_a_header_gets_column_names(tmp_path: Path):
    own = infer(write(tmp_path / "m.csv", None, rows()), target="column_7")
    assert not own.config.data.csv.header
    assert own.config.data.csv.columns == tuple(f"column_{n}" for n in range(1, 8))
    assert own.config.data.target == "column_7"


def test_columns_that_say_nothing_are_left_out_each_with_its_reason(tmp_path: Path):
    own = infer(write(tmp_path / "m.csv", HEAD, rows()), target="edible")
    for name, reason in (
        ("id", "numbers or names the rows"),
        ("seen", "a date"),
        ("const", "the same value"),
        ("void", "no value"),
    ):
        assert any(name in line and reason in line for line in own.told.splitlines()), name
        assert name in own.why["data.features"]


def test_a_column_that_gives_the_answer_away_is_left_out(tmp_path: Path):
    lines = [[*row, {"y": 1, "n": 0}[row[-1]]] for row in rows()]
    own = infer(write(tmp_path / "m.csv", [*HEAD, "code"], lines), target="edible")
    assert "code" not in own.config.data.features
    assert "code: it says the same as 'edible'" in own.told
    prices = [[n % 7, n * 3.5, n * 3500.0] for n in range(100)]
    own = infer(write(tmp_path / "p.csv", ["floor", "thousands", "price"], prices), target="price")
    assert own.config.data.features == ("floor",)


def test_words_for_no_value_among_numbers_are_missing_values(tmp_path: Path):
    lines = [["unknown" if n % 20 == 0 else row[1], row[2], row[-1]] for n, row in enumerate(rows())]
    data = infer(write(tmp_path / "m.csv", ["size", "colour", "edible"], lines), target="edible").config.data
    assert "unknown" in data.csv.missing
    assert "?" in data.csv.missing
    assert data.columns[0].type == "number"


def test_numbers_are_met_and_few_of_them_are_classes(tmp_path: Path):
    url = write(tmp_path / "m.csv", ["a", "stars", "price"], [[n % 9, n % 5, n * 1.5] for n in range(200)])
    price = infer(url, target="price").config
    assert (price.data.task, price.evaluate.metric) == ("regression", "rmse")
    assert price.evaluate.minimum == pytest.approx(86.6, abs=0.1)  # the deviation of 0, 1.5, …, 298.5, rounded down
    stars = infer(url, target="stars").config
    assert (stars.data.task, stars.evaluate.metric) == ("classification", "accuracy")
    other = infer(url, target="stars", overrides={"data.task": "regression"}).config
    assert (other.data.task, other.evaluate.metric, other.train.family) == ("regression", "rmse", "sklearn")


def test_the_metric_and_the_minimum_know_what_always_the_same_answer_gets(tmp_path: Path):
    even = infer(
        write(tmp_path / "even.csv", ["a", "y"], [[n * 0.5, "no" if n % 4 else "yes"] for n in range(800)]), target="y"
    )
    assert (even.config.evaluate.metric, even.config.evaluate.minimum) == ("accuracy", 0.751)
    rare = infer(
        write(tmp_path / "rare.csv", ["a", "y"], [[n * 0.5, "no" if n % 10 else "yes"] for n in range(800)]), target="y"
    )
    assert rare.config.evaluate.metric == "macro_f1"
    assert rare.config.evaluate.minimum == pytest.approx(0.474, abs=0.001)  # 2·0.9/1.9/2
    assert rare.config.evaluate.margin > even.config.evaluate.margin


def test_the_fewer_rows_the_wider_the_margin_and_the_larger_the_test(tmp_path: Path):
    found = []
    for count in (100, 1000, 10_000):
        url = write(tmp_path / f"n{count}.csv", ["a", "y"], [[n * 0.5, n % 2] for n in range(count)])
        found.append(infer(url, target="y").config)
    assert [config.data.test_share for config in found] == [0.4, 0.3, 0.2]
    margins = [config.evaluate.margin for config in found]
    assert margins == sorted(margins, reverse=True)
    assert margins[-1] < 0.02


def test_a_file_of_texts_is_learned_from_its_texts(tmp_path: Path):
    lines = [[n, text, n % 5, "pos" if n % 2 else "neg"] for n, text in enumerate(texts(300))]
    url = write(tmp_path / "reviews.csv", ["id", "review", "stars", "label"], lines)
    own = infer(url, target="label")
    assert (own.config.data.kind, own.config.data.features, own.config.train.family) == ("text", ("review",), "textcnn")
    assert own.config.transforms.max_tokens == 48
    table = infer(url, target="label", overrides={"data.kind": "table"}).config
    assert (table.data.kind, table.data.features) == ("table", ("stars",))
    assert infer(url, target="stars", text="review").config.data.target == "stars"


def test_a_text_in_a_table_of_other_things_is_left_out_and_said(tmp_path: Path):
    lines = [[n % 3, n % 7, n % 11, n % 13 * 0.5, text, n % 2] for n, text in enumerate(texts(200))]
    own = infer(write(tmp_path / "shop.csv", ["a", "b", "c", "d", "notes", "sold"], lines), target="sold")
    assert own.config.data.kind == "table"
    assert own.config.data.features == ("a", "b", "c", "d")
    assert "notes: a text; --text NAME learns from it instead" in own.told


def test_classes_too_rare_to_split_go_to_quarantine_and_it_is_said(tmp_path: Path):
    lines = [[n * 0.5, n % 7, f"c{n % 3}" if n > 3 else "typo"] for n in range(300)]
    own = infer(write(tmp_path / "m.csv", ["a", "b", "y"], lines), target="y")
    assert own.config.data.columns[-1].categories == ("c0", "c1", "c2")
    assert "go to quarantine: typo" in own.told


def test_rows_without_a_target_raise_what_may_be_refused(tmp_path: Path):
    lines = [[n * 0.5, n % 7, "" if n % 5 == 0 else n % 2] for n in range(300)]
    own = infer(write(tmp_path / "m.csv", ["a", "b", "y"], lines), target="y")
    assert own.config.data.max_quarantined_share == 0.25
    assert "20.0% of the rows have no target" in own.told


def test_the_yaml_is_the_configuration_that_is_run_with_a_reason_for_each_choice(tmp_path: Path):
    url = write(tmp_path / "Fliegen Pilze.csv", HEAD, rows())
    own = infer(url, target="edible", overrides={"train.sklearn.iterations": 7, "evaluate.margin": 0.2})
    path = keep(own)
    assert Path(path).name == "fliegen_pilze.yaml"
    assert resolve(config=load_config(path)) == own.config
    assert (own.config.train.sklearn.iterations, own.config.evaluate.margin) == (7, 0.2)
    text = Path(path).read_text()
    assert text.count("# As you said.") == 2
    assert "# Better than always answering 'n'" in text
    assert text.count("#") > 10


def test_a_kept_yaml_that_somebody_changed_is_not_lost(tmp_path: Path):
    own = infer(write(tmp_path / "m.csv", HEAD, rows()), target="edible")
    path = Path(keep(own))
    path.write_text("changed: true\n")
    assert keep(own) == str(path)
    assert keep(own) == str(path)
    assert [p.name for p in sorted(path.parent.iterdir())] == ["m.1.yaml", "m.yaml"]
    assert (path.parent / "m.1.yaml").read_text() == "changed: true\n"


def test_without_a_target_the_columns_are_listed_and_one_is_suggested(tmp_path: Path):
    message = said(write(tmp_path / "m.csv", HEAD, rows()))
    assert "found 7 columns: id (integer), size (number)" in message
    assert "the likeliest: --target edible (2 different values)" in message
    named = write(tmp_path / "n.csv", ["price", "label", "size"], [[n, n % 2, n % 9] for n in range(60)])
    assert "--target label" in said(named)


@pytest.mark.parametrize(
    ("lines", "options", "kind", "message"),
    [
        ([[1, 2]] * 30, {"target": "c"}, ConfigError, "--target c: no such column; found a, b"),
        ([[n, n % 2] for n in range(30)], {"target": "b", "text": "tekst"}, ConfigError, "--text tekst: no such column"),
        ([[n, "x"] for n in range(30)], {"target": "b"}, SchemaError, "found only the class 'x', wanted two or more"),
        ([[n, ""] for n in range(30)], {"target": "b"}, SchemaError, "found no value in 30 rows"),
        ([[n % 3, f"v{n}"] for n in range(30)], {"target": "b"}, SchemaError, "found 30 different values in 30 rows"),
        ([[n % 3, 4.5] for n in range(30)], {"target": "b", "overrides": {"data.task": "regression"}}, SchemaError, "the same number 4.5"),
        ([[n % 3, n % 2] for n in range(10)], {"target": "b"}, SchemaError, "found 10 rows, wanted at least 20"),
        ([[n, n % 2] for n in range(30)], {"target": "b"}, SchemaError, "is left to learn from"),
        ([], {"target": "b"}, SchemaError, "found no rows"),
        ([[n % 3, n % 2] for n in range(30)], {"target": "b", "overrides": {"data.features": ["b"]}}, ConfigError, "data.features b: is the target too"),
        ([[n % 3, n % 2] for n in range(30)], {"target": "b", "overrides": {"data.features": ["a", "a"]}}, ConfigError, "data.features names 'a' more than once"),
        ([[n % 3, n % 2] for n in range(30)], {"target": "b", "overrides": {"data.kind": "text"}}, ConfigError, "found no column of texts among a"),
        ([[n % 3, n % 2] for n in range(30)], {"target": "b", "overrides": {"data.kind": "image"}}, ConfigError, "data.kind image: found a table"),
        ([[n % 3, n % 2] for n in range(30)], {"target": "b", "overrides": {"data.encoding": "utf-16"}}, SchemaError, "m.csv: not utf-16 text"),
        ([[n % 3, n % 2] for n in range(30)], {"overrides": {"data.task": "language_model"}}, ConfigError, "write a configuration"),
        ([[n % 3, n % 2] for n in range(30)], {"target": "b", "overrides": {"train.famly": "mlp"}}, ConfigError, "did you mean 'family'?"),
    ],
)  # fmt: skip
def test_data_that_will_not_do_are_refused_with_the_reason(
    lines: list[list[Any]], options: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
):
    url = write(tmp_path / "m.csv", ["a", "b"], lines)
    assert message in said(url, **options)
    with pytest.raises(kind):
        infer(url, **options)


def test_what_is_no_data_is_refused_with_the_next_step(tmp_path: Path):
    (tmp_path / "m.csv").write_text("")
    assert "the file is empty" in said(str(tmp_path / "m.csv"), target="a")
    (tmp_path / "list.json").write_text('{"a": 1, "b": 2}')
    assert "name the list's place in data.json_records" in said(str(tmp_path / "list.json"), target="a")
    (tmp_path / "sheet.xlsx").write_bytes(b"PK")
    assert "save the sheet as CSV" in said(str(tmp_path / "sheet.xlsx"), target="a")
    assert "did you mean 'sheet.xlsx'?" in said(str(tmp_path / "sheets.xlsx"), target="a")
    with pytest.raises(NotFound):
        infer(str(tmp_path / "absent" / "m.csv"), target="a")
    (tmp_path / "nothing").mkdir()
    assert "found no files in this folder" in said(str(tmp_path / "nothing"))
    (tmp_path / "one" / "cat").mkdir(parents=True)
    for n in range(4):
        (tmp_path / "one" / "cat" / f"{n}.txt").write_text("meow")
    assert "a folder for each label" in said(str(tmp_path / "one"))


def test_what_is_told_is_short(tmp_path: Path):
    own: OwnData = infer(write(tmp_path / "m.csv", HEAD, rows()), target="edible")
    lines = own.told.splitlines()
    assert len(lines) <= 12
    for what in ("target", "input", "model", "decides", "split"):
        assert any(line.strip().startswith(what) for line in lines), what
