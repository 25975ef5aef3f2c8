"""Pinned transforms: taken as they are where they fit the rows, refused in a line where they do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tables import section

from storage.errors import CorruptArtifact, NotFound, SchemaError
from storage.manifests import put_files
from storage.objects import ObjectStore, open_store
from tasks.frames.fitting import fit_transforms
from tasks.frames.identity import identified
from tasks.frames.pinned import check_pinned
from tasks.frames.prepare import prepare_dataset
from tasks.sections import TransformsSection

ROWS = [f"{row % 7},{'red' if row % 3 else 'blue'},{'no' if row % 2 else 'yes'}" for row in range(120)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return open_store(str(tmp_path / "store"))


def prepared(store: ObjectStore, rows: list[str], head: str = "x,colour,label", **more: Any) -> str:
    folder = Path(store.url).parent / "in"
    folder.mkdir(exist_ok=True)
    (folder / "rows.csv").write_text("\n".join([head, *rows]) + "\n")
    data = section(sources=[{"url": "rows.csv"}], root=str(folder), **more)

    def none() -> Any:
        pytest.fail("a cluster was opened")

    return prepare_dataset(data, identified(data), store, none, lambda event: None, alone=True)


@pytest.fixture
def pinned(store: ObjectStore) -> str:
    return put_files(store, "transforms", fit_transforms(TransformsSection(), store, prepared(store, ROWS)), {})


def test_other_rows_of_the_same_columns_are_welcome(store: ObjectStore, pinned: str):
    check_pinned(store, pinned, prepared(store, [*ROWS, "900,green,no"]))


def other_class(store: ObjectStore) -> str:
    return prepared(store, [*ROWS, *["1,red,perhaps"] * 40])


def other_columns(store: ObjectStore) -> str:
    return prepared(store, ROWS, "x,hue,label")


def other_type(store: ObjectStore) -> str:
    return prepared(store, ROWS, columns=[{"name": "x", "type": "category"}])


def other_task(store: ObjectStore) -> str:
    return prepared(store, ROWS, target="x", task="regression")


def other_target(store: ObjectStore) -> str:
    return prepared(store, ROWS, "x,colour,kind", target="kind")


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (other_class, r"know no class 'perhaps', which the data have in 'label'"),
        (other_columns, r"want the columns x, colour, but the data have x, hue"),
        (other_type, r"want type number in column 'x', but the data have category"),
        (other_task, r"are for task classification, but data\.task is regression"),
        (other_target, r"predict 'label', but data\.target is 'kind'"),
    ],
)
def test_rows_that_they_do_not_fit_are_refused(
    store: ObjectStore, pinned: str, dataset: Callable[[ObjectStore], str], said: str
):
    with pytest.raises(SchemaError, match=rf"transforms {pinned[:12]} are pinned, and .*{said}; pin others"):
        check_pinned(store, pinned, dataset(store))


def test_what_is_not_there_or_no_transforms_is_named(store: ObjectStore):
    dataset = prepared(store, ROWS)
    with pytest.raises(NotFound, match=r"transforms\.pin: found no transforms 0{64} in store"):
        check_pinned(store, "0" * 64, dataset)
    with pytest.raises(CorruptArtifact, match="is of kind 'dataset', wanted 'transforms'"):
        check_pinned(store, dataset, dataset)


@pytest.mark.parametrize("pin", ["Champion", "v3", "0" * 63])
def test_a_pin_is_a_digest_or_champion(pin: str):
    with pytest.raises(ValidationError, match="pin"):
        TransformsSection(pin=pin)
