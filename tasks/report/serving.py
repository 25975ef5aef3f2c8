"""How to call the released model: the server's command and a request that can be pasted into a shell."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

PORT = 8000  # where `millrace serve` listens if not told otherwise


def serve_command(serve: Mapping[str, Any]) -> str:
    """The command that starts the server."""
    return serve.get("command") or f"millrace serve {serve['model']}"


def curl(serve: Mapping[str, Any]) -> str:
    """A request with the example item, or with a placeholder where there is none."""
    if serve.get("curl"):
        return serve["curl"]
    item = serve.get("item")
    body = {"input_data": ["…" if item is None else _short(item)]}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    address = f"http://127.0.0.1:{serve.get('port', PORT)}/predict"
    return f"curl -s {address} -H 'content-type: application/json' -d {shlex.quote(text)}"


def _short(item: Any) -> Any:
    """The same item with whole numbers written without their `.0`."""
    if isinstance(item, list):
        return [_short(value) for value in item]
    if isinstance(item, Mapping):
        return {name: _short(value) for name, value in item.items()}
    return int(item) if isinstance(item, float) and item.is_integer() else item
