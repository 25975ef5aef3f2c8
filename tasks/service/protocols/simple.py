"""`POST /predict`: `{"input_data": [item, …]}` → `{"prediction": […]}`; and `POST /feedback` with the right answers."""

import sys
from typing import Any

import msgspec

from tasks.service.exchange import Answer, Request, json_answer
from tasks.service.grants import not_found
from tasks.service.items import decode, decode_items
from tasks.service.keys import allowed
from tasks.service.limits import read_body
from tasks.service.predicting import predict_items
from tasks.service.refusals import Refusal
from tasks.service.service import Service


class Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a feedback request: the right answers to the items of an earlier one, in their order."""

    request_id: str
    labels: list[str | float | int]


LABEL_CHARACTERS = 1000
_feedback = msgspec.json.Decoder(Feedback)
WANTED = 'wanted {"request_id": "…", "labels": [the right answer for each item]}'


async def predict(service: Service, request: Request) -> Answer:
    """POST /predict"""
    grant = await service.grants.admit(request)
    if len(service.models.routes) == 1:
        service.models.room(service.models.route(""), request.key)
    order = decode_items(await read_body(request, service.limits), service.limits)
    route = service.models.route(order.model)
    if not grant.allows("predict", route.model):
        raise not_found()
    served = await service.models.pick(request, route, None)
    rows = await predict_items(service.notes, request, route, served, order.input_data)
    return json_answer({"prediction": [row[0] for row in rows], "model": served.name, "version": served.number})


async def feedback(service: Service, request: Request) -> Answer:
    """POST /feedback: 200 where the request is remembered, 202 where its labels are only kept, to be joined with what was captured."""
    grant = await service.grants.admit(request)
    told = decode(_feedback, await read_body(request, service.limits), WANTED)
    if not 0 < len(told.request_id) <= 64 or not 0 < len(told.labels) <= service.limits.items:
        found = f"{len(told.labels)} labels for a request id of {len(told.request_id)} characters"
        raise Refusal(422, f"body: found {found}; {WANTED}")
    if not any(scope.startswith("feedback:") for scope in grant.scopes):
        raise not_found()
    asked = [told.request_id, [_checked(label) for label in told.labels], sorted(grant.scopes)]
    answer = take(service, *asked) or await service.channel.ask("feedback", asked)
    if "refused" in answer:
        raise Refusal(answer["refused"], answer["message"])
    return json_answer(answer, 200 if answer["model"] else 202)


def _checked(label: str | float | int) -> str | float:
    if isinstance(label, str):
        if len(label) > LABEL_CHARACTERS:
            raise Refusal(422, f"labels: found a text of {len(label)} characters, wanted at most {LABEL_CHARACTERS}")
        return label
    if not abs(label) <= sys.float_info.max:
        raise Refusal(422, f"labels: found {str(label)[:20]}…, wanted numbers that 64 bits can hold")
    return float(label)


def take(service: Service, request_id: str, labels: list[Any], scopes: list[str]) -> dict[str, Any] | None:
    """What is answered to labels for a request that this worker answered; None for another's. It is also kept beside the capture."""
    known = service.notes.recent.get(request_id)
    if known is None:
        return None
    if not allowed(scopes, "feedback", known.model):
        return {"refused": 404, "message": not_found().message}
    try:
        service.notes.feedback(request_id, labels)
    except Refusal as refusal:
        return {"refused": refusal.status, "message": refusal.message}
    service.notes.capture.label(known.model, known.version, request_id, labels)
    return {"model": known.model, "version": known.version}
