"""The supervisor: starts the workers, follows the registry, and owns what they share; it answers no requests itself.

A swap has two steps, so that all workers make it at nearly the same time: all load and check what is wanted, then all turn to it.
"""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from storage.errors import MillraceError, ProcessLost
from storage.objects import open_store
from storage.registry import open_registry
from tasks.service.authority import Authority
from tasks.service.certificates import Certificate
from tasks.service.crew import Crew, Worker
from tasks.service.exposition import exposed
from tasks.service.following import Following
from tasks.service.memory import resident_bytes
from tasks.service.recording import Batch, Recording
from tasks.service.settings import Settings
from tasks.service.standing import History
from tasks.service.tally import Tally
from tasks.service.trials import Trials
from tasks.service.turning import Turner

WATCH_SECONDS = 0.5
HANGING_LOOKS = 40  # of a worker that is silent: 20 s
EXIT_SECONDS = 5.0  # beyond the grace, for a worker's own end
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What to serve. `wanted`: by model the alias to follow, or a version's number; without `keys` and `tokens` everybody may ask."""

    storage: str
    wanted: Mapping[str, str | int]
    settings: Settings
    keys: Path | None
    tokens: Path | None
    count: int

    @property
    def with_keys(self) -> bool:
        """Whether a request needs a key."""
        return self.keys is not None or self.tokens is not None


class Supervisor:
    """Serves `plan` on `listener` until a signal."""

    def __init__(self, plan: Plan, listener: socket.socket) -> None:
        self._plan, self._listener = plan, listener
        handlers = {
            "identify": self._identify,
            "take": self._take,
            "report": self._report,
            "metrics": self._metrics,
            "status": self._status,
            "feedback": self._feedback,
        }
        self._own = Tally()
        self._crew = Crew(listener, plan.count, handlers, self._greet)
        self._recording = Recording(plan.storage, plan.settings.capture, self._own)
        self._crew.start()  # they load their libraries while this process looks into the registry
        self._turner = Turner(self._crew, self._own)
        self._stopped = asyncio.Event()
        self._signals = 0

    async def run(self) -> None:
        """Serve. Raises what the first look at the registry or the first load raises: nothing is served that has not passed its checks."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            await self._begin()
            await self._serve()
        finally:
            self._crew.stopping = True
            self._crew.kill()
            self._recording.kill()

    async def _begin(self) -> None:
        plan = self._plan
        verify = None
        if plan.tokens:
            from tasks.service.tokens import Tokens  # only where there are any

            verify = Tokens(plan.tokens).verify
        self._authority = Authority(plan.keys, verify)
        store = open_store(plan.storage)
        registry = open_registry(store.url)
        self._following = {name: Following(store, registry, name, wanted) for name, wanted in plan.wanted.items()}
        self._trials = Trials(registry, self._following)
        self._history = History()
        looked = [(following, await asyncio.to_thread(following.look)) for following in self._following.values()]
        self._turner.begin([route for _, route in looked if route])
        await self._crew.greet_all()
        for following, route in looked:
            if route and await self._turner.complete(route):
                following.settle()
        self._say_ready()

    async def _serve(self) -> None:
        pause = self._plan.settings.poll_seconds
        work = [self._turner.follow(following, pause) for following in self._following.values()]
        work += [self._watch_files(), self._look_after(), self._judge(), self._history.keep(self._crew)]
        work += [self._recording.start()] if self._plan.settings.capture.share else []
        tasks = [asyncio.ensure_future(one) for one in work]
        stopped = asyncio.ensure_future(self._stopped.wait())
        await asyncio.wait([stopped, self._crew.failed], return_when=asyncio.FIRST_COMPLETED)
        for task in [*tasks, stopped]:
            task.cancel()
        grace = self._plan.settings.limits.grace_seconds
        await self._crew.stop(grace + EXIT_SECONDS)
        await self._recording.stop(grace)
        if self._crew.failed.done():
            self._crew.failed.result()

    async def _greet(self, worker: Worker) -> None:
        """Tell a worker everything; it answers requests when this returns."""
        settings, keyed = msgspec.to_builtins(self._plan.settings), self._plan.with_keys
        told = {
            "storage": self._plan.storage,
            "settings": settings,
            "with_keys": keyed,
            "prefix": f"{worker.process.pid:x}",
        }
        await worker.channel.ask("begin", told)
        routes = None
        while routes != self._turner.told():  # the others may have turned meanwhile
            routes = self._turner.told()
            await worker.channel.ask("prepare", routes, 600.0)
            await worker.channel.ask("turn", routes)
        worker.channel.tell("keys")  # what has changed since it began to listen

    async def _watch_files(self) -> None:
        """Have keys and certificate read anew when their files change."""
        certificate = Certificate(self._plan.settings.tls) if self._plan.settings.tls else None
        keys, pair = self._authority.stamp(), certificate.stamp() if certificate else ()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            with contextlib.suppress(MillraceError):
                if (now := self._authority.stamp()) != keys:
                    keys = now
                    await self._crew.ask_all("keys")
            if certificate and (now := certificate.stamp()) != pair:
                pair = now
                await self._load_certificate()

    async def _load_certificate(self) -> None:
        try:
            await self._crew.ask_all("certificate")
            log.info("certificate: read again")
        except MillraceError as error:
            log.error("the certificate from before goes on serving: %s", error)

    async def _look_after(self) -> None:
        """Replace workers that hang."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._crew.end_hanging(HANGING_LOOKS)

    async def _judge(self) -> None:
        """Promote or roll back canaries as soon as enough is known."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                for running, verdict in self._trials.decided(self._turner.routes):
                    await asyncio.to_thread(self._trials.act, running, verdict)
            except Exception:  # the judgement of the others, and the next one, must outlive whatever an entry provokes
                log.exception("judging the canaries failed")

    async def _identify(self, worker: Worker, asked: Any) -> Any:
        return await self._authority.identify(asked)

    async def _take(self, worker: Worker, asked: Any) -> Any:
        return await self._authority.take(asked)

    async def _report(self, worker: Worker, told: dict[str, Any]) -> None:
        worker.silent, worker.tally = 0, Tally.unpacked(told["tally"])
        self._trials.add(told["arms"], self._turner.routes)
        if told["captured"]:
            self._recording.offer(Batch(**told["captured"]))

    async def _metrics(self, worker: Worker, _: Any) -> bytes:
        """All metrics as they are now."""
        await self._collect()
        return exposed(self._total())

    async def _status(self, worker: Worker, _: Any) -> dict[str, Any]:
        await self._collect()
        return self._history.status(self._turner.routes, self._total(), self._trials.shown(), len(self._crew.ready))

    async def _feedback(self, worker: Worker, asked: Any) -> dict[str, Any]:
        """What the worker says that answered the request: with the same key, or else with the only other one. Kept for later where
        none does.
        """
        request_id, labels, scopes, key = asked
        owners = await self._owners(request_id, scopes)
        if len(owners) > 1 and key not in owners:
            return {
                "refused": 409,
                "message": f"request_id: found it in requests of {len(owners)} keys, wanted one of one",
            }
        for owner in [key] if key in owners else owners:
            with contextlib.suppress(ProcessLost):
                if found := await owners[owner].channel.ask("feedback", [request_id, labels, scopes, owner]):
                    return found
        return self._recording.keep(request_id, labels, scopes)

    async def _owners(self, request_id: str, scopes: list[str]) -> dict[str, Worker]:
        """By key the worker that answered it under this id; those that `scopes` allow feedback on, where there are such."""
        ready = list(self._crew.ready)
        asking = (worker.channel.ask("owners", [request_id, scopes], 5.0) for worker in ready)
        told = await asyncio.gather(*asking, return_exceptions=True)
        found = [
            (key, may, worker)
            for worker, keys in zip(ready, told, strict=True)
            if isinstance(keys, dict)
            for key, may in keys.items()
        ]
        some = any(may for _, may, _ in found)
        return {key: worker for key, may, worker in found if may or not some}

    async def _collect(self) -> None:
        ready = list(self._crew.ready)
        reports = await asyncio.gather(
            *(worker.channel.ask("collect", None, 5.0) for worker in ready), return_exceptions=True
        )
        for worker, report in zip(ready, reports, strict=True):
            if isinstance(report, dict):
                await self._report(worker, report)

    def _total(self) -> Tally:
        total = self._crew.total()
        total.add(self._own)
        total.count("process_cpu_seconds", by=time.process_time())
        total.count("process_resident_memory_bytes", by=resident_bytes())
        return total

    def _say_ready(self) -> None:
        host, port = self._listener.getsockname()[:2]
        scheme = "https" if self._plan.settings.tls else "http"
        url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        first = next(iter(self._turner.routes.values()))
        models = {name: route.champion for name, route in self._turner.routes.items()}
        line = {
            "url": url,
            "model": first.model,
            "version": first.champion,
            "models": models,
            "workers": len(self._crew.ready),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def _stop(self) -> None:
        """Begin to stop at the first signal, stop at once at the second."""
        self._signals += 1
        self._stopped.set()
        if self._signals > 1:
            self._crew.kill()
            self._recording.kill()


def supervise(plan: Plan, listener: socket.socket) -> None:
    """Serve `plan` until a signal."""

    async def run() -> None:
        await Supervisor(plan, listener).run()

    asyncio.run(run())
