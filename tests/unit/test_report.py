"""The page and the terminal summary: complete, self-contained, escaped, and graceful where parts are absent."""

import base64
import io
import json
import re
import shlex
from html.parser import HTMLParser

import pytest
from reported import DIGEST, EVIL, entry, summary, view

from tasks.report.costs import HEADINGS, cost_cells, saved, total_cells
from tasks.report.figures import candidates_plot
from tasks.report.formats import duration, metric_range, metric_value, ratio, size
from tasks.report.markdown import summary_rows, to_markdown
from tasks.report.page import draw, render
from tasks.report.terminal import WIDTH, print_summary, summary_text

VOID = {"meta", "br", "hr", "img", "input", "link", "path", "circle", "rect", "use", "line", "stop"}


@pytest.fixture(autouse=True)
def own_root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path_factory.getbasetemp() / "root"))


class Page(HTMLParser):
    """Tags that balance, ids, headings and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_and_its_ids_are_unique() -> None:
    page = Page(render(view()))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids)) > 20


def test_the_page_shows_every_part() -> None:
    text = Page(render(view())).text
    for wanted in (
        "Promoted", "digits version 3 serves as", "98.7 %", "97.7–99.7 %", "12.2×", "4.6×", "1,797", "Quarantined rows", "a.csv",
        "Training", "validation", "because of middle", "millrace serve digits --no-auth", '{"input_data":[[[0,1.5],[3,16]]]}',
        "18.4 s", "0123456789ab", "metric: accuracy", "a processor", "2026-08-01 10:15 UTC", "predicted", "actual",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_every_plot_is_drawn_and_says_what_it_shows() -> None:
    labels = [
        attributes["aria-label"]
        for tag, attributes in Page(render(view())).seen
        if tag == "svg" and "aria-label" in attributes
    ]
    assert len(labels) == 5
    assert all(labels)


def test_nothing_on_the_page_comes_from_elsewhere() -> None:
    text = render(view())
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses == {"http://127.0.0.1:8000/predict"}
    assert not re.search(r"<link|@import|src=|url\((?!#)", text)


def test_values_from_the_data_are_escaped_everywhere() -> None:
    text = render(view())
    assert EVIL not in text
    assert text.count("<script>") == 1
    assert text.count("&lt;script&gt;") >= 3


def test_plots_take_their_colours_from_the_theme() -> None:
    text = render(view())
    plots = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)[1:]
    for plot in plots:
        colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", plot))
        assert colours <= {"none"} | {
            f"var(--{name})" for name in ("ink", "muted", "line", "paper", "accent", "second")
        }
    assert "light-dark(" in text


def test_the_same_view_gives_the_same_page() -> None:
    assert render(view()) == render(view())


@pytest.mark.parametrize(("decision", "title"), [("hold", "Held"), ("reject", "Rejected")])
def test_what_is_not_promoted_says_that_nothing_changed(decision: str, title: str) -> None:
    text = Page(render(view(decision))).text
    assert title in text
    assert "what served before still does" in text
    assert "This run released no model" in text


def test_absent_parts_are_left_out_with_a_word() -> None:
    page = Page(render({"summary": summary()}))
    assert "not trained in epochs" in page.text
    assert "No candidates were made" in page.text
    assert "No steps were recorded" in page.text
    bare = {"run_id": "r", "pipeline": "p", "verdict": {"decision": "hold", "reasons": []}}
    assert "No metrics were measured" in Page(render({"summary": bare})).text


def test_a_model_that_was_trained_on_elsewhere_is_marked_on_page_and_terminal() -> None:
    marked = view()
    marked["summary"]["continued"] = [{"epoch": 2, "step": 3, "changed": {"device": ["AVX2", "DEFAULT"]}}]
    words = "from epoch 2, step 3 on it was trained under other conditions: device was AVX2, is DEFAULT"
    for text in (Page(render(marked)).text, summary_text(marked["summary"])):
        assert words in " ".join(text.split())


def test_a_clean_data_set_says_that_no_row_was_refused() -> None:
    clean = view()
    clean["summary"]["data"]["rows_quarantined"] = 0
    clean["quarantine"] = []
    assert "No row was refused" in Page(render(clean)).text


def test_a_regression_has_no_confusion_matrix_and_keeps_its_unit() -> None:
    regression = view()
    regression["summary"]["metrics"] = {"rmse": {"value": 51.234, "low": 48.0, "high": 55.0, "n": 90}, "r2": entry(0.6)}
    regression["confusion"] = None
    regression["config"] = {"evaluate": {"metric": "rmse"}}
    regression["dataset"]["task"] = "regression"
    regression["dataset"]["profile"] = {"label": {"type": "number", "edges": [0, 1, 2], "counts": [3, 4]}}
    regression["candidates"] = [
        {**item, "metric": "rmse", "value": 51.2, "low": 48.0, "high": 55.0} for item in regression["candidates"]
    ]
    text = Page(render(regression)).text
    assert "51.23" in text
    assert "predicted" not in text


def test_many_classes_and_long_names_still_make_a_page() -> None:
    many = view()
    classes = [f"a rather long class name {index}" for index in range(60)]
    many["confusion"] = {
        "classes": classes,
        "matrix": [[int(row == column) for column in range(60)] for row in range(60)],
    }
    many["dataset"]["profile"]["label"]["counts"] = {name: index for index, name in enumerate(classes)}
    assert "too many classes" in Page(render(many)).text


def test_what_each_step_cost_is_shown_and_what_was_not_measured_is_a_dash() -> None:
    rows = view()["lineage"]
    hit, computed = (list(cost_cells(row).values()) for row in rows)
    assert hit == ["20 ms", "–", "–", "–", "–", "–", "3 min 12 s"]
    assert computed == ["18.4 s", "17.3 s", "512 MB", "2.3 MB", "0 B", "–", "–"]
    assert list(total_cells(rows).values()) == ["18.4 s", "17.3 s", "512 MB", "2.3 MB", "0 B", "–", "3 min 12 s"]
    page, text = Page(render(view())).text, to_markdown(view(), {})
    for cell in (*HEADINGS, *hit, *computed):
        assert cell in page, cell
    assert f"| train | computed | {' | '.join(computed)} | {DIGEST[:12]} |" in text


def test_a_run_of_a_time_when_costs_were_not_noted_shows_dashes() -> None:
    old = [
        {"step": "train", "state": state, "seconds": 2.0, "key": DIGEST, "output": DIGEST}
        for state in ("computed", "cached")
    ]
    assert [list(cost_cells(row).values())[1:] for row in old] == [["–"] * 6] * 2
    assert list(total_cells(old).values()) == ["4.0 s", *["–"] * 6]
    assert saved(old) == ""
    assert Page(render({**view(), "lineage": old})).open == []


def test_what_the_hits_saved_is_said_in_one_line() -> None:
    steps = summary()["steps"]
    assert saved(steps) == "saved 3 min 12 s of computing by 1 hit"
    assert saved([steps[0], steps[0]]) == "saved 6 min 24 s of computing by 2 hits"
    assert saved(steps[1:]) == ""
    assert "saved 3 min 12 s of computing by 1 hit\n" in summary_text(summary())
    assert "saved" not in summary_text({**summary(), "steps": steps[1:]})


def test_the_terminal_summary_fits_a_screen() -> None:
    lines = summary_text(summary(), {"serve": view()["serve"]}).splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= WIDTH for line in lines if not line.startswith("Ask"))
    text = "\n".join(lines)
    for wanted in ("1,800 rows in, 1,797 out, 3 quarantined", "98.7 %", "97.7–99.7 %", "431 kB → 35.3 kB", "batch 1: 4.6×", "PROMOTED",
                   "version 3 serves as champion", "1 computed, 1 cached", "millrace serve digits", "/data/reports/run.html"):  # fmt: skip
        assert wanted in text


def test_the_request_in_the_summary_can_be_pasted() -> None:
    line = next(
        line for line in summary_text(summary(), {"serve": view()["serve"]}).splitlines() if line.startswith("Ask")
    )
    words = shlex.split(line.removeprefix("Ask"))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8000/predict"]
    assert json.loads(words[-1]) == {"input_data": [[[0, 1.5], [3, 16]]]}


def test_what_is_held_gets_no_request() -> None:
    text = summary_text(summary("hold"))
    assert "HELD" in text
    assert "curl" not in text


def test_a_pipe_gets_plain_text_and_no_brackets_are_taken_for_markup() -> None:
    stream, odd = io.StringIO(), summary()
    odd["verdict"]["reasons"] = ["a [bold]reason[/bold]"]
    print_summary(odd, stream=stream)
    assert "\x1b" not in stream.getvalue()
    assert "a [bold]reason[/bold]" in stream.getvalue()


def test_numbers_are_written_as_people_read_them() -> None:
    assert [size(number) for number in (512, 35_300, 431_000, 5_200_000)] == ["512 B", "35.3 kB", "431 kB", "5.2 MB"]
    assert [duration(number) for number in (0.04, 3.21, 250, 4000)] == ["40 ms", "3.2 s", "4 min 10 s", "1 h 6 min"]
    assert [ratio(number) for number in (0.8, 1.0, 12.21, None)] == ["0.80×", "1.00×", "12.2×", "–"]
    assert metric_value("log_loss", 0.0612) == "0.061"
    assert metric_range("accuracy", entry(0.987)) == "97.7–99.7 %"


def test_the_report_as_text_says_the_same_with_its_plots_in_it() -> None:
    text = to_markdown(view(), draw(view()))
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        "Data", "Training", "Quality on test rows", "Compression", "Call the model", "Steps", "Configuration",
    ]  # fmt: skip
    assert summary()["verdict"]["reasons"][0] in text
    assert "| Accuracy | 98.7 % |" in text
    images = re.findall(r"!\[[^]]+\]\(data:image/svg\+xml;base64,([^)]+)\)", text)
    drawn = [Page(base64.b64decode(image).decode()) for image in images]
    assert len(drawn) == 5
    assert all(page.seen[0][0] == "svg" and page.open == [] for page in drawn)
    assert not any("var(" in str(page.seen) for page in drawn), "an image alone has no style sheet"


def test_no_text_of_the_data_is_markup_in_the_report_as_text() -> None:
    evil = view()
    evil["quarantine"] = [{"_file": "a|b.csv", "_row": 3, "reason": f"[x](javascript:y) `z` {EVIL}\nnext", "rule": "r"}]
    (line,) = [line for line in to_markdown(evil, {}).splitlines() if "javascript" in line]
    assert line == r"| a\|b.csv | 3 | \[x\](javascript:y) \`z\` \<script>alert('x')\</script> next |"


def test_the_report_as_text_needs_no_more_than_a_summary() -> None:
    assert to_markdown({"summary": summary("reject")}, {}).startswith("# Rejected: digits\n")
    assert summary_rows(summary("reject"), "accuracy")[0]["value"] == "Rejected"


@pytest.mark.filterwarnings("error")
def test_candidates_of_very_different_sizes_are_drawn_without_a_word_on_the_console():
    sizes = {225_022: 6.6, 4_512_509: 591.2, 6_587: 517.7}
    candidates = [
        {"name": str(n), "bytes": n, "value": value, "low": 0.94 * value, "high": 1.01 * value}
        for n, value in sizes.items()
    ]
    assert candidates_plot(candidates, "perplexity").startswith("<svg")


def test_what_a_contract_found_and_what_changed_stands_beside_the_rows():
    found = view()
    told = [
        {
            "rule": "age: range",
            "action": "fix",
            "count": 1,
            "example": "a.csv row 9: column 'age': found '-4', wanted at least 0",
        },
        {
            "rule": "city: share",
            "action": "warn",
            "count": 7,
            "example": f"column 'city': {EVIL!r} in 40.0% of the rows",
        },
    ]
    found["summary"]["data"] |= {"findings": told, "changes": ["column 'size' is new"]}
    page = Page(render(found))
    for text in (page.text, " ".join(summary_text(found["summary"]).split()), to_markdown(found, {})):
        for wanted in ("age: range: 1 row changed, e.g. a.csv row 9", "in 40.0% of the rows", "column 'size' is new"):
            assert wanted in text
    assert EVIL not in render(found)
