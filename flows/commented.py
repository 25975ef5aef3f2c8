"""A configuration as YAML with comments: each value below the reason why it was chosen."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH = 110


def commented(values: Mapping[str, Any], why: Mapping[str, str], opening: Sequence[str]) -> str:
    """YAML that loads as `values`. `why`: dotted name → the comment above it; `opening`: the lines at the top."""
    return "\n".join([*(f"# {line}" for line in opening), *_mapping(values, "", why, "")]) + "\n"


def _mapping(values: Mapping[str, Any], path: str, why: Mapping[str, str], indent: str) -> Iterator[str]:
    for name, value in values.items():
        dotted = f"{path}.{name}" if path else name
        for line in textwrap.wrap(" ".join(why.get(dotted, "").split()), WIDTH - len(indent) - 2):
            yield f"{indent}# {line}"
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_flow(name)}:"
            yield from _mapping(value, dotted, why, indent + "  ")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            yield f"{indent}{_flow(name)}:"
            yield from (f"{indent}  - {_flow(item)}" for item in value)
        else:
            yield f"{indent}{_flow(name)}: {_flow(value)}"


def _flow(value: Any) -> str:
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False)
    return text.strip().removesuffix("\n...").strip()
