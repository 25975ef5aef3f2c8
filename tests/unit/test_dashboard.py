"""The Grafana dashboard: it can be imported, and asks for nothing that the service does not say."""

import json
import re
from collections.abc import Iterator
from typing import Any

from commands import ROOT
from prometheus_client.parser import text_string_to_metric_families

from tasks.service.exposition import exposed
from tasks.service.tally import METRICS, Tally

BOARD = json.loads((ROOT / "infra" / "grafana" / "millrace.json").read_text())
SCRAPED = {"job", "instance"}  # labels that Prometheus adds
FUNCTIONS = {"sum", "rate", "increase", "changes", "histogram_quantile", "vector", "by", "or", "label_values"}


def said() -> dict[str, set[str]]:
    """The labels of each series that the service exposes, by the series' name."""
    tally = Tally()
    for name, metric in METRICS.items():
        labels = [f"some {label}" for label in metric.labels]
        if metric.buckets:
            tally.observe((name, *labels), 1.0)
        else:
            tally.count(name, *labels)
    families = text_string_to_metric_families(exposed(tally).decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def asked() -> Iterator[tuple[str, str]]:
    """All expressions with the text that their series are shown as."""
    for panel in BOARD["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"], target["legendFormat"]
    for annotation in BOARD["annotations"]["list"]:
        yield annotation["expr"], annotation["titleFormat"]
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"], ""


def names(text: str) -> set[str]:
    return set(re.findall(r"[a-z_]\w*", text))


def test_every_metric_and_label_that_it_asks_for_is_there():
    series, found = said(), set()
    for expression, _ in asked():
        bare = re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)
        metrics = names(re.sub(r"\{[^}]*\}|by \([^)]*\)|, \w+\)$", "", bare)) - FUNCTIONS
        assert metrics
        assert metrics <= set(series), expression
        parts = re.findall(r"\{([^}]*)\}|by \(([^)]*)\)", bare)
        labels = {name for part in parts for name in names(" ".join(part))}
        assert labels <= SCRAPED.union(*(series[metric] for metric in metrics)), expression
        found |= metrics
    families = {re.sub("_(total|bucket|sum|count)$", "", metric) for metric in found}
    assert families == set(METRICS)  # and all there is, is shown


def test_what_a_legend_names_is_what_its_series_are_grouped_by():
    for expression, legend in asked():
        grouped = {name for part in re.findall(r"by \(([^)]*)\)", expression) for name in names(part)}
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped, expression


def test_values_of_labels_that_it_looks_for_are_some_that_the_service_gives():
    """As far as they are a fixed choice: an outcome that is never said would leave a panel empty for ever."""
    source = "".join(path.read_text() for path in (ROOT / "tasks" / "service").glob("*.py"))
    wanted = re.findall(
        r'(?:outcome|role|alias)(?:=|!=|=~)"([^"$]+)"', " ".join(expression for expression, _ in asked())
    )
    values = {value for text in wanted for value in text.split("|")}
    assert {"same", "near", "left out", "wrong", "canary"} <= values
    assert [value for value in values if f'"{value}"' not in source] == []


def test_it_can_be_imported_anywhere():
    variables: dict[str, Any] = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for panel in BOARD["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD))) <= {*variables, "__rate_interval", "__all"}
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_no_panel_lies_over_another():
    places = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & places, panel["title"]
        places |= cells
