"""TensorFlow Serving's REST predict: https://www.tensorflow.org/tfx/serving/api_rest.

`predictions` are class names or numbers, as `/predict` gives them; with `"signature_name": "probabilities"` a list of numbers for each class.
An instance is an item as `/predict` takes it; bytes may stand as `{"b64": …}`, a column's value in a list of its own, as where a model's inputs have
the shape [-1, 1]. `inputs` instead of `instances` is a list for each column.
"""

from typing import Any

import msgspec

from tasks.service.exchange import Answer, Request, json_answer
from tasks.service.grants import not_found
from tasks.service.items import check_count, decode
from tasks.service.limits import read_body
from tasks.service.models import Served
from tasks.service.predicting import predict_items
from tasks.service.refusals import Refusal
from tasks.service.routes import Route
from tasks.service.service import Service
from tasks.transforms.tables import NumberColumn, TableInput

SIGNATURES = ("", "serving_default", "probabilities")
WANTED = 'wanted {"instances": [item, …]}'


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a predict request."""

    instances: list[Any] | None = None
    inputs: Any = None
    signature_name: str = ""


_order = msgspec.json.Decoder(Order)


async def predict(service: Service, request: Request, model: str, version: str = "", label: str = "") -> Answer:
    """POST /v1/models/{model}[/versions/{version}|/labels/{label}]:predict"""
    route = await admitted(service, request, model)
    service.models.room(route, request.key)
    order = decode(_order, await read_body(request, service.limits), WANTED)
    if order.signature_name not in SIGNATURES:
        raise Refusal(
            422, f"signature_name: found {order.signature_name[:40]!r}, wanted serving_default or probabilities"
        )
    served = await service.models.pick(request, route, chosen(route, version, label))
    rows = await predict_items(service.notes, request, route, served, _items(order, service, served))
    if order.signature_name == "probabilities":
        if not served.runtime.classes:
            raise Refusal(422, "signature_name: found 'probabilities', which a model without classes does not have")
        predictions: list[Any] = [row[1] for row in rows]
    else:
        predictions = [row[0] for row in rows]
    return json_answer({"outputs" if order.instances is None else "predictions": predictions})


async def status(service: Service, request: Request, model: str, version: str = "", label: str = "") -> Answer:
    """GET /v1/models/{model}[/versions/{version}|/labels/{label}]: TensorFlow Serving's status, and OpenAI's description, in one."""
    route = await admitted(service, request, model)
    pair = chosen(route, version, label)
    numbers = [pair[0]] if pair else [number for number in (route.champion, route.canary) if number]
    fine = {"error_code": "OK", "error_message": ""}
    versions = [{"version": str(number), "state": "AVAILABLE", "status": fine} for number in numbers]
    served = await service.models.load(route.model, route.champion)
    return json_answer({**openai_description(served), "model_version_status": versions})


async def metadata(service: Service, request: Request, model: str, version: str = "", label: str = "") -> Answer:
    """GET /v1/models/{model}[…]/metadata: the signatures' tensors; /openapi.json says more of what an item looks like."""
    route = await admitted(service, request, model)
    number, _ = chosen(route, version, label) or (route.champion, "")
    served = await service.models.load(route.model, number)
    return json_answer(
        {
            "model_spec": {"name": model, "signature_name": "", "version": str(number)},
            "metadata": {"signature_def": {"signature_def": _signatures(served)}},
        }
    )


async def admitted(service: Service, request: Request, model: str) -> Route:
    """The route to a model that this request may use; 404 for any other, whether it is there or not."""
    grant = await service.grants.admit(request)
    if not grant.allows("predict", model):
        raise not_found()
    return service.models.route(model)


def chosen(route: Route, version: str, label: str) -> tuple[int, str] | None:
    """The version asked for by number or alias, and its role; None where the route chooses. Refusal 404 for one that does not serve."""
    if not version and not label:
        return None
    pair = (
        route.labelled(label)
        if label
        else route.numbered(int(version) if version.isdigit() and len(version) < 10 else 0)
    )
    if pair is None:
        raise not_found()
    return pair


def openai_description(served: Served) -> dict[str, Any]:
    """A model as OpenAI's API lists it."""
    return {"id": served.name, "object": "model", "created": served.created, "owned_by": "millrace"}


def _signatures(served: Served) -> dict[str, Any]:
    """By name, as the protocol buffers `SignatureDef` have them."""
    inputs, classes = _inputs(served), len(served.runtime.classes)
    predict = {"inputs": inputs, "method_name": "tensorflow/serving/predict"}
    prediction = _tensor("prediction", "DT_STRING" if classes else "DT_DOUBLE")
    signatures = {"serving_default": {**predict, "outputs": prediction}}
    if classes:
        signatures["probabilities"] = {**predict, "outputs": _tensor("probabilities", "DT_FLOAT", classes)}
    return signatures


def _inputs(served: Served) -> dict[str, Any]:
    """A table's columns; the one input of any other kind."""
    kind, taken = served.runtime.transforms.kind, served.runtime.transforms.input
    if isinstance(taken, TableInput):
        tensors = [
            _tensor(part.name, "DT_DOUBLE" if isinstance(part, NumberColumn) else "DT_STRING") for part in taken.parts
        ]
        return {name: tensor for one in tensors for name, tensor in one.items()}
    (name,) = taken.columns
    if kind == "text":
        return _tensor(name, "DT_STRING")
    return _tensor(name, "DT_FLOAT", *getattr(taken, "shape", (-1,)))


def _tensor(name: str, dtype: str, *shape: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in (-1, *shape)]
    return {name: {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}}


def _items(order: Order, service: Service, served: Served) -> list[Any]:
    if (order.instances is None) == (order.inputs is None):
        raise Refusal(
            422, f"body: found {'both' if order.inputs is not None else 'neither'} of instances and inputs; {WANTED}"
        )
    items = _rows(order.inputs) if order.instances is None else order.instances
    check_count("instances" if order.instances is not None else "inputs", len(items), service.limits)
    transforms = served.runtime.transforms
    if isinstance(transforms.input, TableInput):
        return [_row(item) for item in items]
    return [_bytes(item, transforms.input.columns[0]) for item in items] if transforms.kind != "text" else items


def _rows(inputs: Any) -> list[Any]:
    """Columns as rows."""
    if isinstance(inputs, list):
        return inputs
    if not isinstance(inputs, dict) or not inputs or not all(isinstance(values, list) for values in inputs.values()):
        raise Refusal(422, "inputs: wanted a list of items, or an object with a list for each column")
    lengths = {len(values) for values in inputs.values()}
    if len(lengths) > 1:
        raise Refusal(422, f"inputs: found columns of {sorted(lengths)} values, wanted the same number in each")
    return [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]


def _row(item: Any) -> Any:
    """A row's values, each taken out of the list that it may stand in."""
    if not isinstance(item, dict) or list not in map(type, item.values()):
        return item
    return {name: value[0] if type(value) is list and len(value) == 1 else value for name, value in item.items()}


def _bytes(item: Any, name: str) -> Any:
    """A file's base64, out of `{"b64": …}` and, where it stands under the input's name, out of that too."""
    if isinstance(item, dict) and item.keys() == {name}:
        item = item[name]
    return item["b64"] if isinstance(item, dict) and item.keys() == {"b64"} else item
