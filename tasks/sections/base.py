"""What all sections are: frozen, strict, and able to say which of their fields decide the result."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NOT_IN_KEY: dict[str, Any] = {"in_key": False}
OWN_CODE: dict[str, Any] = {"own_code": True}  # the field names a user's own function
USERINFO = re.compile(r"://[^/]*@|[?&](X-Amz-Signature|Signature|sig|token|AWSAccessKeyId)=", re.IGNORECASE)
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _without_secrets(url: str) -> str:
    if USERINFO.search(url):
        raise ValueError(
            "a URL with credentials in it would be kept in records and reports; wanted one without: they come from the environment"
        )
    return url


Url = Annotated[str, AfterValidator(_without_secrets)]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_default=True,  # so that 0 for a float is 0.0 here as in the process that reads it: keys tell them apart
    )

    def key_fields(self) -> dict[str, Any]:
        """The fields that decide the result, as plain JSON values."""
        return {name: _plain(value) for name, value in self if _marked(type(self), name, "in_key") is not False}

    def own_code(self) -> tuple[str, ...]:
        """The user's own functions that the section names, as `module:name`: their code is part of a key, too."""
        named = (value for name, value in self if value and _marked(type(self), name, "own_code"))
        below = (one for _, value in self if isinstance(value, tuple) for one in value if isinstance(one, Section))
        return tuple(dict.fromkeys((*named, *(name for one in below for name in one.own_code()))))


def _marked(section: type[Section], name: str, mark: str) -> Any:
    extra = section.model_fields[name].json_schema_extra
    return extra.get(mark) if isinstance(extra, dict) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.key_fields()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
