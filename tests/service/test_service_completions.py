"""/v1/completions on the real server: OpenAI's form, whole and streamed; what cannot be done is refused; others are not held up."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import wait_for
from handmade import Running, iris_store, serving
from handmade_lm import CIRCLE, lm_store
from inprocess import in_thread

from storage.errors import CorruptArtifact
from tasks.service.exchange import EventStream, Request
from tasks.service.keys import create_key
from tasks.service.limits import Limits
from tasks.service.loading import Loader
from tasks.service.refusals import ClientGone
from tasks.service.routes import Route

ANSWERS = "millrace_answers"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("completions")
    store, _ = lm_store(folder)
    with serving(store, folder, name="writer") as running:
        yield running


def ask(service: Running, **body: object) -> httpx.Response:
    return service.client.post("/v1/completions", json=body)


def test_a_prompt_is_completed_in_the_form_of_openai(service: Running) -> None:
    answer = ask(service, model="writer", prompt="def ", max_tokens=9, temperature=0).json()
    assert answer["choices"] == [{"text": "ün(x😀", "index": 0, "logprobs": None, "finish_reason": "length"}]
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 9, "total_tokens": 13}
    assert (answer["object"], answer["model"], answer["system_fingerprint"]) == (
        "text_completion",
        "writer",
        "version 1",
    )


def test_several_prompts_and_choices_come_in_order_with_echo_and_stop(service: Running) -> None:
    answer = ask(service, prompt=["def ", "x"], n=2, seed=1, temperature=0, max_tokens=20, stop=[":"], echo=True).json()
    texts = [choice["text"] for choice in answer["choices"]]
    assert texts == ["def ün(x😀)"] * 2 + ["x😀)"] * 2
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"stop"}
    assert answer["usage"]["prompt_tokens"] == 5


def test_a_streamed_answer_is_the_same_in_pieces(service: Running) -> None:
    body = {
        "prompt": "def ",
        "max_tokens": 9,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with service.client.stream("POST", "/v1/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    pieces = [choice["text"] for event in events for choice in event["choices"]]
    assert "".join(pieces) == "ün(x😀"
    assert len(pieces) > 4
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    assert events[-1]["usage"]["total_tokens"] == 13


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"prompt": "x", "logprobs": 3}, 422, "logprobs: found 3, which this service cannot do"),
        ({"prompt": "x", "suffix": "y"}, 422, "suffix"),
        ({"prompt": "x", "max_tokens": 0}, 422, "$.max_tokens"),
        ({"prompt": "x", "max_tokens": 5000}, 422, "max_tokens: found 5000, wanted at most 1024"),
        ({"prompt": "x", "temperature": 3}, 422, "$.temperature"),
        ({"prompt": ["x"] * 9, "n": 2}, 422, "n × prompts: found 18, wanted at most 16"),
        ({"prompt": []}, 422, "empty list"),
        ({"prompt": ["x", "a\0"]}, 422, "prompt 1: found a NUL"),
        ({"prompt": "x" * 70_000}, 422, "prompt bytes"),
        ({"prompt": "x", "stop": ["a"] * 5}, 422, "stop: found 5"),
        ({"prompt": "x", "model": "gpt-4"}, 404, "found 'gpt-4', wanted one that /v1/models lists"),
        ({"prompt": "x", "messages": []}, 422, "unknown field `messages`"),
        ({}, 422, "missing required field `prompt`"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_done_is_refused_by_name(service: Running, body: dict, status: int, named: str) -> None:
    response = ask(service, **body)
    assert response.status_code == status
    assert named in response.json()["error"]["message"]


def test_no_json_is_400(service: Running) -> None:
    response = service.client.post("/v1/completions", content=b'{"prompt": ')
    assert response.status_code == 400


def test_a_text_is_scored_the_model_listed_and_both_described(service: Running) -> None:
    answer = service.client.post("/predict", json={"input_data": [CIRCLE, "xyz"]}).json()
    assert answer["prediction"][0] < 1 < 8 < answer["prediction"][1]
    assert [model["id"] for model in service.client.get("/v1/models").json()["data"]] == ["writer"]
    assert service.client.get("/").json()["openai"] == "/v1"
    document = service.client.get("/openapi.json").json()
    body = document["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]
    assert ask(service, **body["example"]).status_code == 200
    answer = document["paths"]["/v1/completions"]["post"]["responses"]["200"]["content"]
    assert sorted(answer) == ["application/json", "text/event-stream"]


def test_a_client_that_goes_stops_its_completion_and_others_are_answered_meanwhile(service: Running) -> None:
    before, long = (
        service.metric('millrace_completion_tokens_total{model="writer"}'),
        {"prompt": ["d"] * 16, "max_tokens": 1024},
    )
    url = str(service.client.base_url)
    answered = threading.Event()

    def leave() -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=0.2) as client, pytest.raises(httpx.ReadTimeout):
            client.post("/v1/completions", json=long)
        answered.set()

    thread = threading.Thread(target=leave)
    thread.start()
    assert service.client.get("/healthz").status_code == 200
    thread.join()
    assert answered.is_set()
    wait_for(
        lambda: 'http_response_status_code="499"' in service.client.get("/metrics").text, "the request to be given up"
    )
    assert ask(service, prompt="d", max_tokens=3, temperature=0).json()["usage"]["completion_tokens"] == 3
    assert service.metric('millrace_completion_tokens_total{model="writer"}') - before < 16 * 1024


def test_a_client_that_goes_stops_its_stream(service: Running) -> None:
    line = 'millrace_completion_tokens_total{model="writer"}'
    gone = 'http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="499",http_route="/v1/completions"}'
    before, ended, long = (
        service.metric(line),
        service.metric(gone),
        {"prompt": ["d"] * 16, "max_tokens": 1024, "stream": True},
    )
    with service.client.stream("POST", "/v1/completions", json=long) as response:
        assert next(response.iter_lines()).startswith("data: ")
    wait_for(lambda: service.metric(gone) == ended + 1, "the stream to be given up")
    assert service.metric(line) - before < 16 * 1024


def test_a_chat_is_gone_on_with_in_the_form_of_openai(service: Running) -> None:
    messages = [{"role": "user", "content": "def "}]
    answer = service.client.post(
        "/v1/chat/completions", json={"messages": messages, "max_tokens": 3, "temperature": 0}
    ).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["completion_tokens"] <= 3
    refused = service.client.post("/v1/chat/completions", json={"messages": messages, "tools": [{"type": "function"}]})
    assert (refused.status_code, "tools" in refused.json()["error"]["message"]) == (422, True)


def test_keys_are_asked_for_and_another_model_completes_nothing(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    key = create_key(tmp_path / "keys.json", ["predict:iris"])
    with serving(store, tmp_path, "--keys", str(tmp_path / "keys.json")) as running:
        assert ask(running, prompt="x").status_code == 401
        assert running.client.get("/v1/models").status_code == 401
        headers = {"authorization": f"Bearer {key}"}
        response = running.client.post("/v1/completions", json={"prompt": "x"}, headers=headers)
    assert response.status_code == 404
    assert "completes no texts" in response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_completions_count_as_answers_of_their_version_and_as_batches_in_a_trial(tmp_path: Path, stream: bool) -> None:
    loaded = Loader(*lm_store(tmp_path)).load("writer", 1)
    broken: Any = replace(loaded, runtime=Broken(loaded.runtime))
    body = {"prompt": "d", "max_tokens": 3, "stream": stream}
    found = []
    for one in (loaded, broken):
        with in_thread(one, Limits()) as running:
            running.service.notes.arms.follow({"iris": Route("iris", 1, canary=2, share=0.5)})
            with httpx.Client(base_url=f"http://{running.host}:{running.port}", trust_env=False) as client:
                for _ in range(12):
                    client.post("/v1/completions", json=body)
            answers = {key[4]: value for key, value in running.service.tally.numbers.items() if key[0] == ANSWERS}
            found.append((answers, running.service.notes.arms.taken()[0][2][:3]))
    assert found == [({"ok": 12}, [12, 0, 1]), ({"failed": 12}, [12, 12, 0])]


class Broken:
    """A language model that fails on every prompt."""

    def __init__(self, whole: Any) -> None:
        self.tokens, self.transforms, self.classes = whole.tokens, whole.transforms, whole.classes
        self.predict = whole.predict

    def generate(self, wish: object) -> Iterator[str]:
        raise CorruptArtifact("no finite answer")


def test_a_stream_whose_client_goes_before_its_first_event_is_given_up() -> None:
    closed = []

    async def never() -> AsyncGenerator[bytes]:
        try:
            await asyncio.get_running_loop().create_future()
            yield b""
        finally:
            closed.append(True)

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        return

    async def use() -> None:
        request = Request({"method": "POST", "path": "/", "headers": []}, receive, 0.0)
        with pytest.raises(ClientGone):
            await asyncio.wait_for(EventStream(never()).send(send, request), 30)
        await asyncio.sleep(0)

    asyncio.run(use())
    assert closed == [True]
