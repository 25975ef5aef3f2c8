"""Guessing, stretching and stealing keys: N workers are one door, a scope is a scope by every protocol, and no secret comes back."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from commands import wait_for
from handmade import ITEMS, Running, iris_files, iris_store, release, serving

from tasks.service.grants import Grants
from tasks.service.keys import create_key, revoke_key
from tasks.service.refusals import Refusal

WORKERS = 3
TABLE = {"input_data": ITEMS[:1]}
TENSOR = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": list(ITEMS[0].values())}]}


@dataclass(frozen=True)
class Guarded:
    """A service of the models `iris` (with a canary and a shadow) and `other`, and its keys."""

    running: Running
    file: Path
    keys: dict[str, str]

    def ask(self, key: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """On a connection of its own, so that any worker may answer."""
        headers = {"authorization": f"Bearer {self.keys.get(key, key)}", "connection": "close"}
        return httpx.request(method, self.running.first_line["url"] + path, json=body, headers=headers, trust_env=False)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    store, registry = iris_store(tmp_path, versions=3)
    release(store, registry, "other", iris_files())
    registry.promote("other", 1)
    registry.canary("iris", 2, 0.5)
    registry.shadow("iris", 3)
    file = tmp_path / "keys.json"
    keys = {
        "iris": create_key(file, ["predict:iris"]),
        "other": create_key(file, ["predict:other", "feedback:other"]),
        "figures": create_key(file, ["metrics"]),
        "rated": create_key(file, ["predict:iris"], rate=2.0),
    }
    with serving(store, tmp_path, "--keys", str(file), "--model", "other", "--workers", str(WORKERS)) as running:
        yield Guarded(running, file, keys)


def test_guesses_at_all_workers_are_counted_together(guarded: Guarded) -> None:
    guesses = [f"{guarded.keys['iris'].partition('.')[0]}.{number:043d}" for number in range(30)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda guess: guarded.ask(guess, "POST", "/predict", TABLE), guesses))
    codes = Counter(answer.status_code for answer in answers)
    assert set(codes) == {401, 429}
    assert codes[401] <= 16  # ten at once for all workers, and one in five seconds


def test_every_wrong_key_gets_the_same_bytes_by_every_path(guarded: Guarded) -> None:
    name, _, secret = guarded.keys["iris"].partition(".")
    for path in ("/predict", "/v2/models/iris/infer", "/v2/models/nowhere/infer"):
        wrong = [f"{name}.{secret[::-1]}", f"{'0' * 16}.{secret}", "x"]
        answers = [guarded.ask(key, "POST", path, TABLE) for key in wrong]
        assert {answer.status_code for answer in answers} <= {401, 429}
        assert len({(answer.content, answer.status_code) for answer in answers}) == 1
    headers = [{k: v for k, v in answer.headers.items() if k not in ("x-request-id", "date")} for answer in answers]
    assert headers[0] == headers[1] == headers[2]


@pytest.mark.parametrize("model", ["iris", "nowhere"])
def test_a_key_for_one_model_finds_no_other_by_any_path(guarded: Guarded, model: str) -> None:
    gets = [
        "",
        "/metadata",
        "/versions/1",
        "/versions/2",
        "/versions/3",
        "/labels/champion",
        "/labels/canary",
        "/labels/shadow",
    ]
    asked = [("GET", f"/v1/models/{model}{place}", None) for place in gets]
    asked += [
        ("GET", f"/v2/models/{model}{place}", None)
        for place in ("", "/ready", "/config", "/versions/1", "/versions/2/ready")
    ]
    places = ("", "/versions/1", "/versions/2", "/labels/canary", "/labels/shadow")
    asked += [("POST", f"/v1/models/{model}{place}:predict", {"instances": ITEMS[:1]}) for place in places]
    asked += [("POST", f"/v2/models/{model}{place}/infer", TENSOR) for place in ("", "/versions/1", "/versions/2")]
    asked += [("POST", "/predict", {**TABLE, "model": model})]
    answers = [guarded.ask("other", *one) for one in asked]
    assert [answer.status_code for answer in answers] == [404] * len(asked)
    assert {json.dumps(answer.json()["error"]) for answer in answers} <= {
        '"not found"', '{"message": "not found", "type": "not_found"}'
    }  # fmt: skip


def test_lists_figures_and_feedback_keep_to_the_scope(guarded: Guarded) -> None:
    assert [one["id"] for one in guarded.ask("other", "GET", "/v1/models").json()["data"]] == ["other"]
    assert [one["name"] for one in guarded.ask("other", "POST", "/v2/repository/index").json()] == ["other"]
    assert "iris" not in guarded.ask("other", "GET", "/openapi.json").text
    for path in ("/metrics", "/status.json"):
        assert guarded.ask("iris", "GET", path).status_code == 404
        assert guarded.ask("figures", "GET", path).status_code == 200
    assert guarded.ask("figures", "POST", "/predict", TABLE).status_code == 404
    answered = guarded.ask("iris", "POST", "/predict", TABLE).headers["x-request-id"]
    feedback = {"request_id": answered, "labels": ["setosa"]}
    assert guarded.ask("iris", "POST", "/feedback", feedback).status_code == 404
    assert guarded.ask("other", "POST", "/feedback", feedback).status_code == 404


def test_a_shadow_answers_nobody_and_a_version_without_alias_neither(guarded: Guarded) -> None:
    codes = {place: guarded.ask("iris", "POST", f"/v1/models/iris{place}:predict", {"instances": ITEMS[:1]}).status_code
             for place in ("/versions/1", "/versions/2", "/versions/3", "/labels/canary", "/labels/shadow")}  # fmt: skip
    assert codes == {
        "/versions/1": 200,
        "/versions/2": 200,
        "/versions/3": 404,
        "/labels/canary": 200,
        "/labels/shadow": 404,
    }


def test_a_key_s_rate_holds_over_all_workers(guarded: Guarded) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        codes = Counter(pool.map(lambda _: guarded.ask("rated", "POST", "/predict", TABLE).status_code, range(60)))
    assert set(codes) == {200, 429}
    assert 1 <= codes[200] <= 4 + 2 * (time.monotonic() - started) + WORKERS
    refused = guarded.ask("rated", "POST", "/predict", TABLE)
    assert refused.status_code == 200 or int(refused.headers["retry-after"]) > 0


def test_a_key_that_is_revoked_or_runs_out_is_refused_by_all_workers(guarded: Guarded) -> None:
    soon = create_key(guarded.file, ["predict:iris"], datetime.now(UTC) + timedelta(seconds=4))
    wait_for(lambda: guarded.ask(soon, "POST", "/predict", TABLE).status_code == 200, "the new key")
    answered = [guarded.ask("iris", "POST", "/predict", TABLE).status_code for _ in range(4 * WORKERS)]
    assert set(answered) == {200}
    revoke_key(guarded.file, guarded.keys["iris"].partition(".")[0])
    revoked = time.monotonic()
    wait_for(lambda: guarded.ask("iris", "POST", "/predict", TABLE).status_code == 401, "the first refusal")
    time.sleep(max(0.0, revoked + 2.0 - time.monotonic()))  # the promise: within two seconds, everywhere
    with ThreadPoolExecutor(4) as pool:
        codes = set(pool.map(lambda _: guarded.ask("iris", "POST", "/predict", TABLE).status_code, range(5)))
    assert 200 not in codes
    wait_for(lambda: guarded.ask(soon, "POST", "/predict", TABLE).status_code != 200, "its end")


def test_a_key_revoked_while_it_is_being_checked_is_asked_for_again() -> None:
    class Slow:
        """A supervisor whose first answer was right when it was given."""

        def __init__(self) -> None:
            self.answers = [{"status": 200, "id": "a", "scopes": [], "expires": None, "rate": None}, {"status": 401}]
            self.on_ask: Callable[[], None] = grants_forget

        async def ask(self, name: str, value: Any) -> Any:
            self.on_ask()
            return self.answers.pop(0)

    def grants_forget() -> None:
        grants.forget()

    channel: Any = Slow()
    grants = Grants(channel, True)
    request: Any = type("Asked", (), {"headers": {b"x-api-key": b"a.b"}, "address": "", "key": ""})()

    async def twice() -> None:
        await grants.admit(request)
        with pytest.raises(Refusal, match="no valid API key"):
            await grants.admit(request)

    asyncio.run(twice())


def test_a_secret_comes_back_in_no_answer_log_figure_or_list_of_processes(guarded: Guarded) -> None:
    key = guarded.keys["iris"]
    secret = key.partition(".")[2]
    url = guarded.running.first_line["url"]
    headers = {
        "authorization": f"Bearer {key}",
        "x-api-key": key,
        "x-request-id": "r-1",
        "x-subject": key,
        "connection": "close",
    }
    sent = [
        httpx.get(f"{url}/v1/models?api_key={key}", headers=headers, trust_env=False),
        httpx.get(f"{url}/{'?'}key={key}", trust_env=False),
        httpx.post(f"{url}/predict?{key}", json=TABLE, headers=headers, trust_env=False),
        httpx.post(f"{url}/predict", json=TABLE, headers={"content-encoding": "gzip", **headers}, trust_env=False),
        httpx.post(f"{url}/predict", json=TABLE, headers={**headers, "x-deadline-ms": "soon"}, trust_env=False),
        httpx.post(f"{url}/predict", json=TABLE, headers={"authorization": f"Basic {key}"}, trust_env=False),
        httpx.post(
            f"{url}/predict", json=TABLE, headers={"authorization": f"Bearer {'0' * 16}.{secret}"}, trust_env=False
        ),
    ]
    figures = [guarded.ask("figures", "GET", path) for path in ("/metrics", "/status.json", "/status")]
    supervisor = psutil.Process(guarded.running.process.pid)
    listed = [" ".join(process.cmdline()) for process in (supervisor, *supervisor.children(recursive=True))]
    wait_for(lambda: guarded.running.log.read_text().count('"path":"/predict"') >= 5, "the log's lines")
    told = (
        [answer.text + str(answer.headers) for answer in (*sent, *figures)] + listed + [guarded.running.log.read_text()]
    )
    assert [answer.status_code for answer in sent] == [200, 200, 200, 400, 422, 401, 401]
    assert not [text for text in told if secret in text]
