"""What is noted of each answer, off the way of the next: counts, the recent answers that feedback may name, the capture, the shadow."""

import asyncio
import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tasks.service.arms import Arms
from tasks.service.batcher import NO_ANSWER
from tasks.service.capture import Capture
from tasks.service.exchange import Request
from tasks.service.models import Models, Served
from tasks.service.refusals import Refusal
from tasks.service.routes import CANARY, CHAMPION, Route
from tasks.service.tally import Tally

RECENT = 20_000  # answers that feedback may come for
SHADOWED = 64  # requests that a shadow may have under way; more are left out
AGREE = 1e-3  # greatest difference of outputs that counts as the same answer


class Answered(NamedTuple):
    """An answer that feedback may come for. `trial`: the canary's salt then, if it was given in a trial and nobody has labelled it yet."""

    model: str
    version: int
    predictions: list[Any]
    trial: str | None


@dataclass
class Notes:
    """Of one worker."""

    models: Models
    tally: Tally
    arms: Arms
    capture: Capture
    recent: OrderedDict[str, Answered] = field(default_factory=OrderedDict)
    _mirrored: set["asyncio.Task[None]"] = field(default_factory=set)

    def answered(self, request: Request, route: Route, served: Served, items: list[Any], rows: list[Any]) -> None:
        """A request was answered."""
        self.tally.count("millrace_answers", served.name, str(served.number), request.role, "ok")
        if request.role in (CHAMPION, CANARY):
            self.arms.note_answer(served.name, served.number, failed=False)
        predictions = [row[0] for row in rows]
        trial = route.salt if route.canary and request.role in (CHAMPION, CANARY) else None
        self.recent[request.id] = Answered(served.name, served.number, predictions, trial)
        if len(self.recent) > RECENT:
            self.recent.popitem(last=False)
        self.capture.offer(request, served, items, predictions)
        if route.shadow and random.random() < route.shadow_share:
            self._mirror(route, items, rows)

    def refused(self, request: Request, served: Served, refusal: Refusal) -> None:
        """A request was not answered; only what the model did wrong counts against it."""
        if refusal.status == 500 or refusal.kind == NO_ANSWER:
            self.tally.count("millrace_answers", served.name, str(served.number), request.role, "failed")
            if request.role in (CHAMPION, CANARY):
                self.arms.note_answer(served.name, served.number, failed=True)

    def feedback(self, request_id: str, labels: list[Any]) -> None:
        """Take the right answers to a recent request into account; Refusal 422 where they do not fit it.

        In a trial the first ones count alone, else one request said often enough would decide it; and of the champion's answers those
        that were given beside the canary, as earlier ones were to other requests.
        """
        known = self.recent[request_id]
        wanted = len(known.predictions)
        if len(labels) != wanted:
            raise Refusal(422, f"labels: found {len(labels)}, wanted {wanted}, one for each item of the request")
        for prediction, label in zip(known.predictions, labels, strict=True):
            if isinstance(prediction, str) != isinstance(label, str):
                kind = "a text" if isinstance(prediction, str) else "a number"
                raise Refusal(422, f"labels: found {type(label).__name__}, wanted {kind} like the prediction")
        for prediction, label in zip(known.predictions, labels, strict=True):
            wrong = self.arms.note_label(known.model, known.version, prediction, label, known.trial)
            outcome = "unknown" if wrong is None else "wrong" if wrong else "right"
            self.tally.count("millrace_feedback", known.model, str(known.version), outcome)
        self.recent[request_id] = known._replace(trial=None)

    def _mirror(self, route: Route, items: list[Any], rows: list[Any]) -> None:
        """Have the shadow answer too, unless it has too much to do."""
        if len(self._mirrored) >= SHADOWED:
            self.tally.count("millrace_shadow", route.model, str(route.shadow), "left out")
            return
        task = asyncio.ensure_future(self._compare(route, items, rows))
        self._mirrored.add(task)
        task.add_done_callback(self._mirrored.discard)

    async def _compare(self, route: Route, items: list[Any], rows: list[Any]) -> None:
        try:
            shadow = await self.models.load(route.model, route.shadow)
            columns = shadow.runtime.parse(items)
            found = await shadow.batcher.submit(columns, len(items), "shadow")
            outcome = _agreement(rows, found)
        except Exception:  # noqa: BLE001  whatever a shadow does is only counted
            outcome = "failed"
        self.tally.count("millrace_shadow", route.model, str(route.shadow), outcome)


def _agreement(rows: list[Any], found: list[Any]) -> str:
    if any(a[0] != b[0] for a, b in zip(rows, found, strict=True) if isinstance(a[0], str)):
        return "differs"
    pairs = ((np.asarray(a[1]), np.asarray(b[1])) for a, b in zip(rows, found, strict=True))
    close = all(a.shape == b.shape and np.allclose(a, b, rtol=AGREE, atol=AGREE) for a, b in pairs)
    return "same" if close else "near" if isinstance(rows[0][0], str) else "differs"
