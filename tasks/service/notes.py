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
from tasks.service.generating import Piece
from tasks.service.keys import allowed
from tasks.service.models import Models, Served
from tasks.service.refusals import Refusal
from tasks.service.routes import CANARY, CHAMPION, Route
from tasks.service.tally import Tally

RECENT, RECENT_ROWS = 20_000, 200_000  # answers that feedback may come for, and their predictions: tens of megabytes
SHADOWED = 64  # requests that a shadow may have under way; more are left out
AGREE = 1e-3  # greatest difference of outputs that counts as the same answer


class Answered(NamedTuple):
    """An answer that feedback may come for. `told`: it has come; what comes again is no more evidence. `trial`: the canary's salt then."""

    model: str
    version: int
    predictions: list[Any]
    trial: str | None
    told: bool = False


@dataclass
class Notes:
    """Of one worker. `recent`: by request id, which clients may choose, and key: nobody's answer takes another's place."""

    models: Models
    tally: Tally
    arms: Arms
    capture: Capture
    recent: OrderedDict[str, dict[str, Answered]] = field(default_factory=OrderedDict)
    _rows: int = 0
    _mirrored: set["asyncio.Task[None]"] = field(default_factory=set)

    def answered(self, request: Request, route: Route, served: Served, items: list[Any], rows: list[Any]) -> None:
        """A request was answered."""
        self._answered(request, served, failed=False)
        predictions = [row[0] for row in rows]
        trial = route.salt if route.canary and request.role in (CHAMPION, CANARY) else None
        self._remember(request, Answered(served.name, served.number, predictions, trial))
        self.capture.offer(request, served, items, predictions)
        if route.shadow and random.random() < route.shadow_share:
            self._mirror(route, items, rows)

    def refused(self, request: Request, served: Served, refusal: Refusal) -> None:
        """A request was not answered; only what the model did wrong counts against it."""
        if refusal.status == 500 or refusal.kind == NO_ANSWER:
            self._answered(request, served, failed=True)

    def completed(self, request: Request, served: Served, ends: list[Piece]) -> None:
        """A request for texts was answered; for a trial each of them is a batch of its tokens."""
        self._answered(request, served, failed=False)
        for end in ends:
            self.arms.note_batch(served.name, served.number, max(1, end.completion_tokens), end.seconds)

    def _answered(self, request: Request, served: Served, failed: bool) -> None:
        outcome = "failed" if failed else "ok"
        self.tally.count("millrace_answers", served.name, str(served.number), request.role, outcome)
        if request.role in (CHAMPION, CANARY):
            self.arms.note_answer(served.name, served.number, failed=failed)

    def owners(self, request_id: str, scopes: list[str]) -> dict[str, bool]:
        """The keys that were answered under this request id, and of each whether `scopes` allow feedback on its model."""
        answers = self.recent.get(request_id, {})
        return {key: allowed(scopes, "feedback", known.model) for key, known in answers.items()}

    def feedback(self, request_id: str, key: str, labels: list[Any]) -> None:
        """Take the right answers to a recent request into account; Refusal 422 where they do not fit it.

        The first ones count alone, else one request said often enough would decide a trial; and in a trial, of the champion's answers those
        that were given beside the canary, as earlier ones were to other requests.
        """
        known = self.recent[request_id][key]
        wanted = len(known.predictions)
        if len(labels) != wanted:
            raise Refusal(422, f"labels: found {len(labels)}, wanted {wanted}, one for each item of the request")
        for prediction, label in zip(known.predictions, labels, strict=True):
            if isinstance(prediction, str) != isinstance(label, str):
                kind = "a text" if isinstance(prediction, str) else "a number"
                raise Refusal(422, f"labels: found {type(label).__name__}, wanted {kind} like the prediction")
        if not known.told:
            self.recent[request_id][key] = known._replace(told=True)
            self._count(known, labels)

    def _count(self, known: Answered, labels: list[Any]) -> None:
        for prediction, label in zip(known.predictions, labels, strict=True):
            wrong = self.arms.note_label(known.model, known.version, prediction, label, known.trial)
            outcome = "unknown" if wrong is None else "wrong" if wrong else "right"
            self.tally.count("millrace_feedback", known.model, str(known.version), outcome)

    def _remember(self, request: Request, answered: Answered) -> None:
        """For feedback, the latest answers of all."""
        answers = self.recent.setdefault(request.id, {})
        if before := answers.get(request.key):
            self._rows -= len(before.predictions)
        answers[request.key] = answered
        self.recent.move_to_end(request.id)
        self._rows += len(answered.predictions)
        while len(self.recent) > RECENT or self._rows > RECENT_ROWS:
            _, oldest = self.recent.popitem(last=False)
            self._rows -= sum(len(one.predictions) for one in oldest.values())

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
            found = await shadow.mirror.submit(columns, len(items), "shadow")
            outcome = _agreement(rows, found)
        except Exception as error:  # noqa: BLE001  whatever a shadow does is only counted
            busy = isinstance(error, Refusal) and error.kind in ("overloaded", "limited")
            outcome = "left out" if busy else "failed"
        self.tally.count("millrace_shadow", route.model, str(route.shadow), outcome)


def _agreement(rows: list[Any], found: list[Any]) -> str:
    if any(a[0] != b[0] for a, b in zip(rows, found, strict=True) if isinstance(a[0], str)):
        return "differs"
    pairs = ((np.asarray(a[1]), np.asarray(b[1])) for a, b in zip(rows, found, strict=True))
    close = all(a.shape == b.shape and np.allclose(a, b, rtol=AGREE, atol=AGREE) for a, b in pairs)
    return "same" if close else "near" if isinstance(rows[0][0], str) else "differs"
