"""Open Inference Protocol v2 over HTTP, JSON and binary tensors: what `tritonclient[http]` speaks.

A table's columns are inputs of their own, shape [B] or [B, 1]; where all are numbers, one input `x` of shape [B, columns] will do too.
Other kinds have one input: texts (BYTES), images (numbers [B, H, W(, C)], or files in base64 as BYTES), recordings alike. Outputs: `prediction`, and
`probabilities` [B, classes] where there are classes.
"""

from typing import Any

import msgspec
import numpy as np
import orjson

from tasks.service.exchange import Answer, Request, json_answer
from tasks.service.items import check_count, decode
from tasks.service.limits import read_body
from tasks.service.models import Served
from tasks.service.predicting import predict_items
from tasks.service.protocols.tensorflow import admitted, chosen
from tasks.service.protocols.tensors import Tensor, read_tensor, to_binary
from tasks.service.refusals import Refusal
from tasks.service.service import Service
from tasks.transforms.tables import NumberColumn, TableInput

HEADER_LENGTH = b"inference-header-content-length"
WANTED = 'wanted {"inputs": [{"name", "shape", "datatype", "data"}, …]}'
ALL = "x"


class Input(msgspec.Struct):
    """A tensor of the request."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = None


class Output(msgspec.Struct):
    """A tensor that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class Order(msgspec.Struct):
    """The body of an inference request."""

    inputs: list[Input]
    outputs: list[Output] = []
    id: str = ""
    parameters: dict[str, Any] = {}


_order = msgspec.json.Decoder(Order)


async def infer(service: Service, request: Request, model: str, version: str = "") -> Answer:
    """POST /v2/models/{model}[/versions/{version}]/infer"""
    route = await admitted(service, request, model)
    service.models.room(route, request.key)
    body = await read_body(request, service.limits)
    order, tensors = read_order(body, request.headers.get(HEADER_LENGTH))
    check_count("inputs", tensors[0].shape[0], service.limits)
    served = await service.models.pick(request, route, chosen(route, version, ""))
    items = to_items(served, tensors)
    wanted = _wanted(order, served)
    rows = await predict_items(service.notes, request, route, served, items)
    head = {"model_name": served.name, "model_version": str(served.number), "id": order.id or request.id}
    return _shaped(head, [(name, binary, *_output(served, name, rows)) for name, binary in wanted])


async def metadata(service: Service, request: Request, model: str, version: str = "") -> Answer:
    """GET /v2/models/{model}[/versions/{version}]"""
    route = await admitted(service, request, model)
    number, _ = chosen(route, version, "") or (route.champion, "")
    served = await service.models.load(model, number)
    described = {
        "name": model,
        "versions": [str(one) for one in (route.champion, route.canary) if one],
        "platform": "onnxruntime_onnx",
    }
    return json_answer({**described, "inputs": _inputs(served), "outputs": _outputs(served)})


async def config(service: Service, request: Request, model: str, version: str = "") -> Answer:
    """GET /v2/models/{model}[/versions/{version}]/config: Triton's model configuration, as far as there is one."""
    route = await admitted(service, request, model)
    number, _ = chosen(route, version, "") or (route.champion, "")
    served = await service.models.load(model, number)
    inputs, outputs = (
        [
            {
                "name": one["name"],
                "data_type": f"TYPE_{one['datatype'].replace('BYTES', 'STRING')}",
                "dims": one["shape"][1:] or [1],
            }
            for one in side
        ]
        for side in (_inputs(served), _outputs(served))
    )
    most = service.limits.items
    return json_answer(
        {"name": model, "platform": "onnxruntime_onnx", "max_batch_size": most, "input": inputs, "output": outputs}
    )


async def model_ready(service: Service, request: Request, model: str, version: str = "") -> Answer:
    """GET /v2/models/{model}[/versions/{version}]/ready"""
    route = await admitted(service, request, model)
    chosen(route, version, "")
    return Answer(b"")


async def repository(service: Service, request: Request) -> Answer:
    """POST /v2/repository/index: the models that this key may use."""
    grant = await service.grants.admit(request)
    routes = [route for name, route in service.models.routes.items() if grant.allows("predict", name)]
    return json_answer(
        [{"name": route.model, "version": str(route.champion), "state": "READY", "reason": ""} for route in routes]
    )


async def server(service: Service, request: Request) -> Answer:
    """GET /v2"""
    return json_answer(
        {
            "name": "millrace",
            "version": "2",
            "extensions": ["binary_tensor_data", "model_repository", "model_configuration"],
        }
    )


def read_order(body: bytes, header_length: bytes | None) -> tuple[Order, list[Tensor]]:
    """The JSON that the first `header_length` bytes are (all where there is no such header), and the tensors; Refusal 400 or 422."""
    length = _header_length(header_length, body)
    order = decode(_order, body[:length], WANTED)
    return order, _tensors(order, memoryview(body)[length:])


def to_items(served: Served, tensors: list[Tensor]) -> list[Any]:
    """The items that the tensors hold; Refusal 422 for other tensors than the model has."""
    model, names = served.runtime.transforms.input, [tensor.name for tensor in tensors]
    counts = sorted({tensor.shape[0] for tensor in tensors})
    if len(counts) > 1:
        raise Refusal(422, f"inputs: found {counts} items, wanted the same number in each")
    table = isinstance(model, TableInput)
    if table and names != [ALL]:
        columns = [_fitting(tensor, (), (1,)).rows() for tensor in tensors]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    wanted = ALL if table else model.columns[0]
    if names != [wanted]:
        raise Refusal(422, f"inputs: found {', '.join(names)[:80]}, wanted {wanted}")
    if table:
        return _fitting(tensors[0], (len(model.parts),)).nested().tolist()
    return _fitting(tensors[0], *_item_shapes(model, tensors[0])).rows()


def _item_shapes(model: Any, tensor: Tensor) -> list[tuple[int, ...]]:
    """Shapes that one item may have: a text or a file, an image's pixels, a recording's samples."""
    if tensor.datatype == "BYTES":
        return [(), (1,)]
    shape = getattr(model, "shape", None)
    if shape is None:
        return [tensor.shape[1:2]]
    return [tuple(shape), tuple(shape[:-1])] if shape[-1] == 1 else [tuple(shape)]


def _fitting(tensor: Tensor, *shapes: tuple[int, ...]) -> Tensor:
    """The tensor, where its items have one of the shapes: other ones would cost much memory as nested lists before they are refused."""
    if tensor.shape[1:] not in shapes:
        wanted = " or ".join(f"[items{''.join(f', {length}' for length in shape)}]" for shape in shapes)
        raise Refusal(422, f"input {tensor.name[:60]!r}: found the shape {list(tensor.shape)}, wanted {wanted}")
    return tensor


def _header_length(text: bytes | None, body: bytes) -> int:
    if text is None:
        return len(body)
    if not text.isdigit() or len(text) > 12 or int(text) > len(body):
        found = text[:20].decode("latin-1")
        raise Refusal(
            400, f"Inference-Header-Content-Length: found {found!r}, wanted 0 to the body's {len(body)} bytes"
        )
    return int(text)


def _tensors(order: Order, binary: memoryview) -> list[Tensor]:
    tensors, at = [], 0
    for told in order.inputs:
        tensor, at = read_tensor(msgspec.structs.asdict(told), binary, at)
        tensors.append(tensor)
    if at != len(binary):
        raise Refusal(422, f"body: found {len(binary) - at} bytes after the last tensor, wanted none")
    if not tensors or len({tensor.name for tensor in tensors}) != len(tensors):
        raise Refusal(422, f"inputs: found {len(tensors)}, wanted at least one, each with a name of its own")
    return tensors


def _inputs(served: Served) -> list[dict[str, Any]]:
    transforms = served.runtime.transforms
    if isinstance(transforms.input, TableInput):
        return [
            {"name": part.name, "datatype": "FP64" if isinstance(part, NumberColumn) else "BYTES", "shape": [-1, 1]}
            for part in transforms.input.parts
        ]
    shape = getattr(transforms.input, "shape", None) if transforms.kind == "image" else None
    datatype = "BYTES" if transforms.kind == "text" else "FP32"
    dims = list(shape) if shape else [1] if transforms.kind == "text" else [-1]
    return [{"name": transforms.input.columns[0], "datatype": datatype, "shape": [-1, *dims]}]


def _outputs(served: Served) -> list[dict[str, Any]]:
    classes = len(served.runtime.classes)
    prediction = {"name": "prediction", "datatype": "BYTES" if classes else "FP64", "shape": [-1]}
    return [prediction, *([{"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]}] if classes else [])]


def _wanted(order: Order, served: Served) -> list[tuple[str, bool]]:
    """The names of outputs, and whether each comes as binary data."""
    known = [output["name"] for output in _outputs(served)]
    everything = order.parameters.get("binary_data_output") is True
    if not order.outputs:
        return [(name, everything) for name in known]
    names = [output.name for output in order.outputs]
    if len(set(names)) != len(names):  # each is written out: a small request could ask for gigabytes
        raise Refusal(422, f"outputs: found {len(names)} of {len(set(names))} names, wanted each name once")
    for output in order.outputs:
        if output.name not in known:
            raise Refusal(422, f"output {output.name[:60]!r}: wanted one of {', '.join(known)}")
        if output.parameters.get("classification"):
            raise Refusal(
                422, f"output {output.name!r}: found classification, which is not offered; ask for probabilities"
            )
    return [(output.name, output.parameters.get("binary_data", everything) is True) for output in order.outputs]


def _output(served: Served, name: str, rows: list[Any]) -> tuple[str, list[int], Any]:
    """An output's datatype, shape and flat values."""
    if name == "probabilities":
        values = np.stack([row[1] for row in rows]).astype("<f4")
        return "FP32", list(values.shape), values.ravel()
    return ("BYTES" if served.runtime.classes else "FP64"), [len(rows)], [row[0] for row in rows]


def _shaped(head: dict[str, Any], outputs: list[tuple[str, bool, str, list[int], Any]]) -> Answer:
    told, binaries = [], []
    for name, binary, datatype, shape, values in outputs:
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if binary:
            binaries.append(to_binary(datatype, values))
            output["parameters"] = {"binary_data_size": len(binaries[-1])}
        else:
            output["data"] = values
        told.append(output)
    header = orjson.dumps({**head, "outputs": told}, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binaries:
        return Answer(header)
    headers = {"inference-header-content-length": str(len(header))}
    return Answer(header + b"".join(binaries), kind=b"application/octet-stream", headers=headers)
