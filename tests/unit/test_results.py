"""Rows as Python has them, as the items of a request; the report as a notebook shows it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from flows.results import Model, Report, as_items
from storage.errors import ConfigError, NotFound
from storage.refs import ArtifactRef
from tasks.transforms.items import ItemError


def test_a_table_becomes_objects_of_the_models_columns_with_null_for_no_value():
    table = pd.DataFrame(
        {"size": [1.5, None], "red": [True, False], "name": ["a", None], "count": [3, 4], "more": [0, 0]}
    )
    items = as_items(table, ("size", "name", "count", "red"))
    assert items == [
        {"size": 1.5, "name": "a", "count": 3, "red": True},
        {"size": None, "name": None, "count": 4, "red": False},
    ]
    assert type(items[0]["count"]) is int


def test_a_table_without_a_column_that_the_model_wants_is_refused_by_name():
    with pytest.raises(ItemError, match="column 'colour' is missing, wanted size, colour"):
        as_items(pd.DataFrame({"size": [1]}), ("size", "colour"))


def test_lists_series_and_arrays_are_taken_as_clients_send_them():
    assert as_items(["a text", {"review": "another"}], ("review",)) == ["a text", {"review": "another"}]
    assert as_items(pd.Series(["a", "b"]), ("review",)) == ["a", "b"]
    assert as_items(np.zeros((2, 1, 2), np.uint8), ("image",)) == [[[0, 0]], [[0, 0]]]
    assert as_items([np.ones((1, 2))], ("image",)) == [[[1.0, 1.0]]]
    assert as_items([], ("image",)) == []


@pytest.mark.parametrize("one", ["a text", {"size": 1}])
def test_a_single_item_is_no_list_of_them(one: object):
    with pytest.raises(ConfigError, match="wanted a list of items"):
        as_items(one, ("size",))


def test_a_report_is_a_path_and_shows_itself(tmp_path: Path):
    (tmp_path / "r.html").write_text('<p title="x">&</p>')
    report = Report(tmp_path / "r.html")
    assert isinstance(report, Path)
    assert report.exists()
    assert 'srcdoc="&lt;p title=&quot;x&quot;&gt;&amp;&lt;/p&gt;"' in report._repr_html_()


def test_a_model_is_loaded_from_where_its_run_was_told_that_the_store_is(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # nobody is there
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    model = Model(ArtifactRef("s3://nobody/x", "a" * 64), {"AWS_ENDPOINT_URL": f"http://{host}:{port}"})
    with pytest.raises(NotFound, match="the bucket does not exist"):  # which only that server can know
        model.predict([])
    server.stop()
