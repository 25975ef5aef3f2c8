"""The status page and its figures: for those with the scope `metrics`, right to the last request, and text whatever they say."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import wait_for
from handmade import ITEMS, Running, iris_store, serving

from tasks.service.keys import create_key
from tasks.service.routes import Route
from tasks.service.standing import POINTS, RECENT, History
from tasks.service.tally import REQUESTS, Tally

PAGE = Path(__file__).parents[2] / "tasks" / "service" / "status.html"
HOSTILE = "<img src=x onerror=document.title='run'>"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, str]]]:
    """A service of two workers with a canary and a shadow, and a key for each scope."""
    folder = tmp_path_factory.mktemp("status")
    store, registry = iris_store(folder, 3)
    registry.canary("iris", 2, 0.5, {"automatic": False})
    registry.shadow("iris", 3)
    keys = {scope: create_key(folder / "keys.json", [scope]) for scope in ("metrics", "predict:iris")}
    with serving(store, folder, "--keys", str(folder / "keys.json"), "--workers", "2") as running:
        yield running, keys


def asked(running: Running, key: str, path: str = "/status.json") -> httpx.Response:
    return running.client.get(path, headers={"authorization": f"Bearer {key}"})


def test_the_page_is_for_everybody_holds_no_data_and_loads_nothing(keyed: tuple[Running, dict[str, str]]) -> None:
    answer = keyed[0].client.get("/status")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "iris" not in answer.text
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
    assert set(re.findall(r"https?://[^\"' )]+", answer.text)) == namespaces
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\ssrc=|localStorage", answer.text
    )


def test_the_policy_of_the_page_lets_run_its_own_script_and_style_alone(
    keyed: tuple[Running, dict[str, str]],
) -> None:
    answer = keyed[0].client.get("/status")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for name in ("script", "style"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{name}-src"] == f"'sha256-{digest}'"
    assert " style=" not in answer.text  # which the policy would not let act


def test_figures_are_for_keys_with_the_scope_metrics(keyed: tuple[Running, dict[str, str]]) -> None:
    running, keys = keyed
    assert running.client.get("/status.json").status_code == 401
    assert asked(running, keys["predict:iris"]).status_code == 404
    answer = asked(running, keys["metrics"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


def test_figures_add_up_over_workers_versions_and_kinds(keyed: tuple[Running, dict[str, str]]) -> None:
    running, keys = keyed
    headers = {
        "authorization": f"Bearer {keys['predict:iris']}",
        "connection": "close",
    }  # so that all workers are asked

    def predict(body: Any) -> int:
        return running.client.post("/predict", json=body, headers=headers).status_code

    assert {predict({"input_data": ITEMS[:3]}) for _ in range(40)} == {200}
    assert {predict({"input_data": [{"sepal_length": "long"}]}) for _ in range(7)} == {422}

    def settled() -> Any:
        told = asked(running, keys["metrics"]).json()
        shadow = told["models"][0]["versions"][2]["compared"]
        return told if sum(shadow.values()) == 40 else None

    told = wait_for(settled, "the shadow's 40 answers")
    assert told["workers"] == 2
    assert told["workers_lost"] == 0
    assert told["memory_bytes"] > 3 * 20e6  # of the supervisor and two workers
    assert told["requests"]["total"] == 47
    assert told["requests"]["failed"] == 0
    assert 0 < told["requests"]["p50_ms"] <= told["requests"]["p99_ms"]
    (model,) = told["models"]
    assert [(one["version"], one["role"], one["share"]) for one in model["versions"]] == [
        (1, "champion", 0.5),
        (2, "canary", 0.5),
        (3, "shadow", 1.0),
    ]
    assert sum(one["answers"] for one in model["versions"][:2]) == 40
    assert [one["failed"] for one in model["versions"]] == [0, 0, 0]
    assert all(one["forward_ms_p50"] > 0 for one in model["versions"])
    assert {"kind": "bad_item", "total": 7, "recent": 7} in told["errors"]
    compared = model["trial"]["comparisons"]
    assert set(compared) == {"errors", "slow"}
    assert model["trial"]["action"] == "wait"
    assert model["trial"]["reasons"]


def counted(requests: int, failed: int) -> Tally:
    tally = Tally()
    for status, count in (("200", requests - failed), ("503", failed)):
        for _ in range(count):
            tally.observe((REQUESTS, "POST", "/predict", status), 0.02)
    tally.observe((REQUESTS, "GET", "/status.json", "200"), 5.0)  # is not traffic
    return tally


def test_the_chart_has_a_point_a_step_and_forgets_after_ten_minutes() -> None:
    history = History()
    for step in range(POINTS + 20):
        history.note(2.0 * step, counted(10 * step if step < 3 else 20, step if step < 3 else 2))
    series = history.status({}, counted(20, 2), {}, 1)["series"]
    assert {len(values) for values in series.values()} == {POINTS}
    history = History()
    for step, (requests, failed) in enumerate([(0, 0), (10, 1), (20, 2), (5, 0)]):  # the last: a worker was lost
        history.note(2.0 * step, counted(requests, failed))
    series = history.status({}, counted(20, 2), {}, 1)["series"]
    assert series["at"] == [2.0, 4.0, 6.0]
    assert series["per_second"] == [5.0, 5.0, 0.0]
    assert series["failed_per_second"] == [0.5, 0.5, 0.0]
    assert all(10 < value < 25 for value in series["p99_ms"][:2])


def test_what_is_recent_is_of_the_last_minute() -> None:
    history = History()
    for step in range(RECENT + 5):
        tally = Tally()
        tally.count("millrace_errors", "bad_item", by=step)
        history.note(2.0 * step, tally)
    (error,) = history.status({}, tally, {}, 1)["errors"]
    assert error == {"kind": "bad_item", "total": RECENT + 4, "recent": RECENT - 1}


def hostile_figures() -> bytes:
    """Figures as no service gives them: every text that is shown is markup."""
    routes = {HOSTILE: Route(HOSTILE, 1, HOSTILE, canary=2, share=0.5, shadow=3, shadow_share=1.0)}
    tally = Tally()
    tally.count("millrace_errors", HOSTILE)
    tally.count("millrace_shadow", HOSTILE, "3", "same")
    comparison = {"state": HOSTILE, "champion": {"count": 1, "bad": 0}, "canary": {"count": 1, "bad": 0}}
    comparison |= {"log10_e_value": 0.0, "excess_at_most": 0.5, "margin": 0.1}
    trial = {"action": HOSTILE, "reasons": [HOSTILE], "hours": 1.0, "comparisons": {"errors": comparison}}
    trial["policy"] = {"automatic": True, "minimum_requests": 200, "alpha": 0.01, "maximum_hours": 0.0}
    return json.dumps(History().status(routes, tally, {HOSTILE: trial}, 1)).encode()


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium")
def test_whatever_the_figures_say_is_text_in_a_browser(tmp_path: Path) -> None:
    figures = hostile_figures()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {"/status": PAGE.read_bytes(), "/status.json": figures}.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shown = in_browser(f"http://127.0.0.1:{server.server_address[1]}/status", tmp_path)
        server.shutdown()
    title = re.search(r"<title>(.*?)</title>", shown)
    assert title is not None
    assert title[1] == "0/s · Millrace"
    assert "<img" not in shown
    assert shown.count("&lt;img src=x onerror") >= 5  # model, alias, verdict, state, reason, kind


def in_browser(url: str, folder: Path) -> str:
    """The page as it is after its script has run."""
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    quiet = "--disable-component-update --disable-sync --virtual-time-budget=1500 --dump-dom"
    command = [str(BROWSER), *flags.split(), *quiet.split(), f"--user-data-dir={folder / 'profile'}", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
