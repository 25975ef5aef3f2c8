"""The OpenAPI document of a service: every path, with items that its models take."""

import copy
from collections.abc import Mapping
from typing import Any

from tasks.service.exchange import tells_errors_as_text
from tasks.service.protocols.tensors import MOST_DIMENSIONS, NUMBERS

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "item": {"type": "integer", "minimum": 0},
            },
        }
    },
}
ERROR_TEXT = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "item": {"type": "integer", "minimum": 0}},
}
REFUSALS = {
    400: "The body is no JSON, or no whole gzip or deflate",
    401: "No key, or one that is not valid",
    404: "Nothing here that this key may use",
    405: "Another method is wanted",
    408: "Headers or body came too slowly",
    409: "Several keys' requests have this id",
    413: "The body is too large",
    415: "The body's encoding is not gzip, deflate or none",
    422: "The body or an item cannot be used; the message names it",
    429: "Too many wrong keys, or too many requests by this key; Retry-After says when to try again",
    431: "Too many headers, or too long ones",
    500: "The model failed",
    503: "Too much waits; Retry-After says when to try again",
}
PUBLIC = ("/", "/healthz", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready", "/status")
GETS = {
    "/": "Where things are",
    "/healthz": "Whether the process answers",
    "/readyz": "Whether the models are loaded, and which versions where no keys are wanted; 503 while stopping",
    "/metrics": "Metrics of all workers in Prometheus' text format",
    "/status": "A page that shows versions, traffic, latency and errors",
    "/status.json": "What the page shows",
    "/openapi.json": "This document",
    "/v1/models": "The models that this key may use, as OpenAI's API lists them",
    "/v1/models/{model}": "One model: OpenAI's description and TensorFlow Serving's status",
    "/v1/models/{model}/metadata": "TensorFlow Serving's signatures",
    "/v2": "The server, by the Open Inference Protocol",
    "/v2/health/live": "Whether the process answers",
    "/v2/health/ready": "Whether the models are loaded",
    "/v2/models/{model}": "A model's inputs and outputs, by the Open Inference Protocol",
    "/v2/models/{model}/ready": "Whether the model is loaded",
    "/v2/models/{model}/config": "A model's configuration in Triton's form",
}
PLACES = {"/v1": ("/versions/{version}", "/labels/{label}"), "/v2": ("/versions/{version}",)}  # after a model's name
PARAMETERS = {
    "version": {"schema": {"type": "integer", "minimum": 1}, "example": 1},
    "label": {"schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}, "example": "champion"},
}
TEXT = {"/metrics": "text/plain", "/status": "text/html"}
ANY = {"type": "object"}


def document(described: Mapping[str, Mapping[str, Any]], max_items: int, with_keys: bool) -> dict[str, Any]:
    """OpenAPI 3.1 for models by their names, each with its transforms' `describe()`."""
    paths: dict[str, Any] = {path: {"get": _get(path, text)} for path, text in GETS.items()}
    posts = {
        "/predict": _predict(described, max_items),
        "/feedback": _post(
            "Tell the right answers to an earlier request", _feedback(), {"request_id": "…", "labels": ["…"]}
        ),
        "/v1/models/{model}:predict": _tensorflow(described, max_items),
        "/v2/models/{model}/infer": _post(
            "Predict, by the Open Inference Protocol (JSON here; binary tensors too)",
            _infer(),
            _infer_example(described),
        ),
        "/v2/repository/index": _post(
            "The models that this key may use, in Triton's form", ANY, None, _array(_index()), required=False
        ),
    }
    writers = {name: one for name, one in described.items() if one["task"] == "language_model"}
    if writers:
        posts |= {"/v1/completions": _complete(writers), "/v1/chat/completions": _chat(writers)}
    for path, operation in posts.items():
        paths.setdefault(path, {})["post"] = operation
    paths |= _of_versions(paths)
    known = {"model": {"schema": {"type": "string", "enum": list(described) or ["…"]}}, **PARAMETERS}
    for path, operations in paths.items():
        if "{model}" in path:
            told = [{"name": name, "in": "path", "required": True, **one} for name, one in known.items()]
            for operation in operations.values():
                operation["parameters"] = [one for one in told if f"{{{one['name']}}}" in path]
        error = ERROR_TEXT if tells_errors_as_text(path) else ERROR
        for operation in operations.values():
            operation["responses"] |= {str(code): _answer(text, error) for code, text in REFUSALS.items()}
    title = f"Millrace: {', '.join(described)}" if described else "Millrace"
    document: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": title, "version": "1"}, "paths": paths}
    if with_keys:
        _secure(document)
    return document


def _of_versions(paths: Mapping[str, Any]) -> dict[str, Any]:
    """The same operations for a version, or an alias, of a model."""
    parts = [(path.partition("{model}"), operations) for path, operations in paths.items() if "{model}" in path]
    return {
        f"{before}{model}{place}{after}": copy.deepcopy(operations)
        for (before, model, after), operations in parts
        for place in PLACES[before[:3]]
    }


def _secure(document: dict[str, Any]) -> None:
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["components"] = {"securitySchemes": schemes}
    document["security"] = [{"bearer": []}, {"header": []}]
    for path in PUBLIC:
        document["paths"][path]["get"]["security"] = []


def _predict(described: Mapping[str, Mapping[str, Any]], most: int) -> dict[str, Any]:
    schemas = [_items(one, "input_data", most, name, len(described) > 1) for name, one in described.items()]
    answer = _object(
        {"prediction": _array(_predictions(described)), "model": {"type": "string"}, "version": {"type": "integer"}}
    )
    sentences = [f"{name}: each item is {one['item']}; predicts {one['target']!r}." for name, one in described.items()]
    example = next(({"input_data": [one["example"]]} for one in described.values()), None)
    operation = _post("Predict", _any(schemas), example, answer)
    return {**operation, "description": " ".join(sentences)}


def _tensorflow(described: Mapping[str, Mapping[str, Any]], most: int) -> dict[str, Any]:
    schemas = [_items(one, "instances", most, name, False) for name, one in described.items()]
    signature = {"signature_name": {"enum": ["", "serving_default", "probabilities"]}}
    for schema in schemas:
        schema["properties"] |= signature
    columns = {"anyOf": [_array({}), {"type": "object", "minProperties": 1, "additionalProperties": _array({})}]}
    by_column = {**_object({"inputs": columns}), "additionalProperties": False}
    by_column["properties"] |= signature
    example = next(({"instances": [one["example"]]} for one in described.values()), None)
    answer = _any([_object({name: {"type": "array"}}) for name in ("predictions", "outputs")])
    return _post("Predict, by TensorFlow Serving's REST API", _any([*schemas, by_column]), example, answer)


def _items(one: Mapping[str, Any], field: str, most: int, name: str, several: bool) -> dict[str, Any]:
    items = {"type": "array", "minItems": 1, "maxItems": most, "items": one["item_schema"]}
    properties: dict[str, Any] = {field: items}
    if several:
        properties["model"] = {"type": "string", "const": name}
    return {"type": "object", "properties": properties, "required": [field], "additionalProperties": False}


def _predictions(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return _any([one["prediction_schema"] for one in described.values()])


def _feedback() -> dict[str, Any]:
    label = {"type": ["string", "number"]}
    fields = {
        "request_id": {"type": "string", "minLength": 1, "maxLength": 64},
        "labels": {**_array(label), "minItems": 1},
    }
    return _object(fields)


def _infer() -> dict[str, Any]:
    tensor = _object(
        {
            "name": {"type": "string"},
            "shape": {**_array({"type": "integer", "minimum": 1}), "minItems": 1, "maxItems": MOST_DIMENSIONS},
            "datatype": {"enum": [*NUMBERS, "BYTES"]},
            "data": {"type": "array"},
        }
    )
    return _object({"inputs": {**_array(tensor), "minItems": 1}})


def _infer_example(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """A row of the first model, where it is one of tables."""
    row = next((one["example"] for one in described.values()), None)
    if not isinstance(row, dict):
        return None
    kinds = {name: "BYTES" if isinstance(value, str) else "FP64" for name, value in row.items()}
    return {
        "inputs": [{"name": name, "shape": [1], "datatype": kinds[name], "data": [row[name]]} for name in row],
    }


def _index() -> dict[str, Any]:
    return _object({name: {"type": "string"} for name in ("name", "version", "state", "reason")})


def _complete(writers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    texts = {"oneOf": [{"type": "string"}, {**_array({"type": "string"}), "minItems": 1}]}
    fields = {"prompt": texts, **_sampling(writers), "echo": {"type": "boolean", "default": False}}
    name, one = next(iter(writers.items()))
    sent = {"model": name, "prompt": one["example"], "max_tokens": 64, "temperature": 0}
    schema = {"type": "object", "required": ["prompt"], "properties": fields}
    return _streaming(_post("Go on with a text: OpenAI's completions; with `stream`, server-sent events", schema, sent))


def _chat(writers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    message = _object({"role": {"enum": ["system", "developer", "user", "assistant"]}, "content": {"type": "string"}})
    fields = {"messages": {**_array(message), "minItems": 1}, **_sampling(writers)}
    sent = {"model": next(iter(writers)), "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 64}
    schema = {"type": "object", "required": ["messages"], "properties": fields}
    return _streaming(
        _post("Go on with a conversation: OpenAI's chat completions; with `stream`, server-sent events", schema, sent)
    )


def _streaming(operation: dict[str, Any]) -> dict[str, Any]:
    operation["responses"]["200"]["content"]["text/event-stream"] = {}
    return operation


def _sampling(writers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": {"type": "string", "enum": list(writers)},
        "max_tokens": {"type": "integer", "minimum": 1},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 1},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
        "n": {"type": "integer", "minimum": 1, "default": 1},
        "stop": {"oneOf": [{"type": "string"}, _array({"type": "string"})]},
        "seed": {"type": "integer", "minimum": 0},
        "stream": {"type": "boolean", "default": False},
    }


def _post(
    summary: str, schema: Mapping[str, Any], example: Any, answer: Mapping[str, Any] = ANY, required: bool = True
) -> dict[str, Any]:
    content = {"schema": schema} | ({"example": example} if example is not None else {})
    answers = {"200": _answer("Done", answer)}
    if "feedback" in summary or "right answers" in summary:
        answers["202"] = _answer(
            "No worker remembers the request; its labels are kept, and joined with what was captured", ANY
        )
    return {
        "summary": summary,
        "requestBody": {"required": required, "content": {"application/json": content}},
        "responses": answers,
    }


def _get(path: str, summary: str) -> dict[str, Any]:
    content = {TEXT.get(path, "application/json"): {}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}


def _answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _array(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _any(schemas: list[Any]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else ANY
