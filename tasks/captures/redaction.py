"""What must not be kept is taken out before anything is stored: values by their names, texts by their patterns."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"


class Redaction:
    """`names`: columns and JSON keys whose values become null; `patterns`: regular expressions whose matches in texts become `[redacted]`."""

    def __init__(self, names: Sequence[str], patterns: Sequence[str]) -> None:
        self.names = frozenset(names)
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._idle = not self.names and not self._patterns

    def value(self, value: Any, name: str = "") -> Any:
        """A JSON value without what must not be kept; `name`: the column or key that it stands under."""
        if self._idle:
            return value
        if name in self.names:
            return None
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self.value(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self.value(one) for one in value]
        return value

    def _text(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text
