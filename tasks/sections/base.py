"""What all sections are: frozen, strict, and able to say which of their fields decide the result."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

NOT_IN_KEY: dict[str, Any] = {"in_key": False}
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def key_fields(self) -> dict[str, Any]:
        """The fields that decide the result, as plain JSON values."""
        return {name: _plain(value) for name, value in self if _in_key(type(self), name)}


def _in_key(section: type[Section], name: str) -> bool:
    extra = section.model_fields[name].json_schema_extra
    return not (isinstance(extra, dict) and extra.get("in_key") is False)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.key_fields()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
