"""What OpenAI's own client sees; run by its environment's pytest. SERVICE_URL, SERVICE_KEY, and the model `writer` that answers in a circle."""

import os

import openai
import pytest

URL, KEY = os.environ["SERVICE_URL"], os.environ["SERVICE_KEY"]
CIRCLE = "def ün(x😀):\n"


@pytest.fixture
def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


def test_models_are_listed_and_described(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert sorted(listed) == ["colours", "iris", "writer"]
    one = client.models.retrieve("writer")
    assert (one.id, one.object, one.owned_by) == ("writer", "model", "millrace")
    assert one.created > 1_600_000_000


def test_a_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="writer", prompt="def ", max_tokens=9, temperature=0)
    assert answer.object == "text_completion"
    assert answer.choices[0].text == "ün(x😀"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens == 13


def test_several_prompts_choices_and_stops(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="writer", prompt=["def ", "x"], n=2, temperature=0, max_tokens=20, stop=[":", "\n"], echo=True, seed=3
    )
    assert [choice.text for choice in answer.choices] == ["def ün(x😀)"] * 2 + ["x😀)"] * 2
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}


def test_a_streamed_completion_is_the_whole_one_in_pieces(client: openai.OpenAI) -> None:
    wish = {"model": "writer", "prompt": "def ", "max_tokens": 30, "temperature": 0}
    chunks = list(client.completions.create(**wish, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    whole = client.completions.create(**wish)
    assert text == whole.choices[0].text
    assert len(chunks) > 3
    assert chunks[-1].usage == whole.usage
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"


def test_a_conversation(client: openai.OpenAI) -> None:
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "def"}]}]
    answer = client.chat.completions.create(model="writer", messages=messages, max_completion_tokens=5, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_a_streamed_conversation_is_the_whole_one_in_pieces(client: openai.OpenAI) -> None:
    wish = {"model": "writer", "messages": [{"role": "user", "content": "def"}], "max_tokens": 12, "temperature": 0}
    chunks = list(client.chat.completions.create(**wish, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    whole = client.chat.completions.create(**wish).choices[0].message.content
    assert whole is not None
    assert text.strip() == whole
    assert chunks[0].object == "chat.completion.chunk"


def test_the_client_s_helper_for_streams_takes_it(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "def"}]
    with client.chat.completions.stream(model="writer", messages=messages, max_tokens=6, temperature=0) as stream:
        kinds = {event.type for event in stream}
        with pytest.raises(openai.LengthFinishReasonError):  # the client's way to say that max_tokens was reached
            stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_a_wrong_key_is_an_authentication_error() -> None:
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong.key", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="no valid API key"):
        client.models.list()


def test_errors_are_the_client_s_own_with_our_message(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="not found"):
        client.models.retrieve("nowhere")
    with pytest.raises(openai.NotFoundError, match="wanted one that /v1/models lists"):
        client.completions.create(model="nowhere", prompt="x")
    with pytest.raises(openai.NotFoundError, match="completes no texts"):
        client.completions.create(model="iris", prompt="x")
    with pytest.raises(openai.UnprocessableEntityError, match="max_tokens"):
        client.completions.create(model="writer", prompt="x", max_tokens=0)
    tool = {"type": "function", "function": {"name": "f"}}
    with pytest.raises(openai.UnprocessableEntityError, match="tools"):
        client.chat.completions.create(model="writer", messages=[{"role": "user", "content": "x"}], tools=[tool])
    with pytest.raises(openai.UnprocessableEntityError, match="role"):
        client.chat.completions.create(model="writer", messages=[{"role": "nobody", "content": "x"}])


def test_many_clients_of_asyncio_at_once() -> None:
    import asyncio

    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=5) as client:
            wishes = [client.completions.create(model="writer", prompt="def ", max_tokens=3) for _ in range(8)]
            return [answer.choices[0].text for answer in await asyncio.gather(*wishes)]

    assert len(asyncio.run(ask())) == 8
