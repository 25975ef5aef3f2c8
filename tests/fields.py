"""The fields of a configuration, walked through its sections."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def fields_of(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """All fields below `model` by their dotted names."""
    for name, field in model.model_fields.items():
        yield above + name, field
        for inner in models_in(field.annotation):
            yield from fields_of(inner, f"{above}{name}.")


def with_passes(*passes: dict[str, Any]) -> dict[str, Any]:
    """A partial configuration with one recipe of these passes."""
    return {"compress": {"recipes": [{"name": "mine", "passes": list(passes)}]}}
