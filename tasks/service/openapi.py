"""The OpenAPI document of a service, with an item that this model takes."""

from collections.abc import Mapping
from typing import Any

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {"message": {"type": "string"}, "item": {"type": "integer", "minimum": 0}},
        }
    },
}
REFUSALS = {
    400: "The body is no JSON",
    401: "No key, or one that is not valid",
    404: "Nothing here that this key may use",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "The body's encoding is not gzip or none",
    422: "The body or an item cannot be used; the message names it",
    429: "Too many wrong keys",
    500: "The model failed",
    503: "Too much waits; Retry-After says when to try again",
}


def document(name: str, description: Mapping[str, Any], max_items: int, with_keys: bool) -> dict[str, Any]:
    """OpenAPI 3.1 for model `name`; `description` is its transforms' `describe()`."""
    paths: dict[str, Any] = {
        "/predict": {"post": _predict(description, max_items)},
        "/": {"get": _get("Where things are")},
        "/healthz": {"get": _get("Whether the process answers")},
        "/readyz": {"get": _get("Whether a model is loaded, and which; 503 while stopping")},
        "/metrics": {"get": _get("Metrics in Prometheus' text format", "text/plain")},
        "/openapi.json": {"get": _get("This document")},
    }
    if description["task"] == "language_model":
        paths |= {"/v1/completions": {"post": _complete(name, description["example"])}}
        paths |= {"/v1/models": {"get": _get("The model that serves, as OpenAI's API lists it")}}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"Millrace: {name}", "version": "1", "description": f"Predicts {description['target']!r}."},
        "paths": paths,
    }
    if with_keys:
        schemes = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["components"] = {"securitySchemes": schemes}
        document["security"] = [{"bearer": []}, {"header": []}]
        for path in ("/", "/healthz", "/readyz"):
            paths[path]["get"]["security"] = []
    return document


def _predict(description: Mapping[str, Any], max_items: int) -> dict[str, Any]:
    items = {"type": "array", "minItems": 1, "maxItems": max_items, "items": description["item_schema"]}
    answer = {
        "type": "object",
        "required": ["prediction", "model", "version"],
        "properties": {
            "prediction": {"type": "array", "items": description["prediction_schema"]},
            "model": {"type": "string"},
            "version": {"type": "integer"},
        },
    }
    body = {
        "type": "object",
        "required": ["input_data"],
        "properties": {"input_data": items},
        "additionalProperties": False,
    }
    return {
        "summary": f"Predict {description['target']!r}",
        "description": f"Each item is {description['item']}.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": {"input_data": [description["example"]]}}},
        },
        "responses": {"200": _answer("One prediction an item, in order", answer), **_refusals()},
    }


def _complete(name: str, example: str) -> dict[str, Any]:
    texts = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    fields: dict[str, Any] = {
        "prompt": texts,
        "model": {"type": "string", "const": name},
        "max_tokens": {"type": "integer", "minimum": 1, "default": 16},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 1},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
        "n": {"type": "integer", "minimum": 1, "default": 1},
        "stop": texts,
        "seed": {"type": "integer", "minimum": 0},
        "echo": {"type": "boolean", "default": False},
        "stream": {"type": "boolean", "default": False},
    }
    choice = {"text": {"type": "string"}, "index": {"type": "integer"}, "finish_reason": {"enum": ["stop", "length"]}}
    answer: dict[str, Any] = {"id": {"type": "string"}, "model": {"type": "string"}, "usage": {"type": "object"}}
    answer["choices"] = {"type": "array", "items": {"type": "object", "properties": choice}}
    sent = {"model": name, "prompt": example, "max_tokens": 64, "temperature": 0}
    body = {"schema": {"type": "object", "required": ["prompt"], "properties": fields}, "example": sent}
    return {
        "summary": "Go on with a text",
        "description": "OpenAI's completions API; with `stream`, server-sent events.",
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {"200": _answer("The texts", {"type": "object", "properties": answer}), **_refusals()},
    }


def _refusals() -> dict[str, Any]:
    return {str(code): _answer(text, ERROR) for code, text in REFUSALS.items()}


def _answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": summary, "content": {media_type: {}}}}}
