"""How to call the released model: the server's command and a request that can be pasted into a shell."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

PORT = 8000  # where `millrace serve` listens if not told otherwise


def serve_command(serve: Mapping[str, Any]) -> str:
    """The command that starts the server."""
    return serve.get("command") or f"millrace serve {serve['model']}"


def request(item: Any) -> str:
    """The body that asks for one item, as JSON text."""
    return json.dumps({"input_data": [_short(item)]}, ensure_ascii=False, separators=(",", ":"))


def completion(model: str, prompt: str) -> str:
    """The body that asks a language model to go on with a text, as JSON text."""
    return json.dumps({"model": model, "prompt": prompt, "max_tokens": 64, "temperature": 0}, ensure_ascii=False)


def curl(serve: Mapping[str, Any], longest: int | None = None) -> str:
    """A request with the example item, or of a language model with the prompt; one of more than `longest` characters is read from `serve["request_file"]`.

    Without an item, and too long without a file, there is a placeholder.
    """
    if serve.get("prompt"):
        return _curl("/v1/completions", completion(serve["model"], serve["prompt"]))
    body = request("…" if serve.get("item") is None else serve["item"])
    if longest is not None and len(body) > longest:
        body = f"@{serve['request_file']}" if serve.get("request_file") else request("…")
    return _curl("/predict", body)


def _curl(path: str, body: str) -> str:
    return f"curl -s http://127.0.0.1:{PORT}{path} -H 'content-type: application/json' -d {shlex.quote(body)}"


def _short(item: Any) -> Any:
    """The same item with whole numbers written without their `.0`."""
    if isinstance(item, list):
        return [_short(value) for value in item]
    if isinstance(item, Mapping):
        return {name: _short(value) for name, value in item.items()}
    return int(item) if isinstance(item, float) and item.is_integer() else item
