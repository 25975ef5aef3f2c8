"""Follows an alias: looks for the registry log's next entry beside the event loop, and swaps in the version it names."""

import logging
import threading
from collections.abc import Callable

from storage.errors import MillraceError
from tasks.service.metrics import Metrics
from tasks.service.models import Loaded, Source

LONGEST_PAUSE_SECONDS = 60.0
log = logging.getLogger(__name__)


class Follower:
    """A thread that hands over each newly wanted version once it has passed its checks. `seen`: entries of the log that are known.

    A version that fails them is refused, logged and counted, and the one before goes on serving. It is tried again with growing
    pauses, as what is damaged may be repaired.
    """

    def __init__(self, source: Source, metrics: Metrics, seen: int, poll_seconds: float, serving: Loaded) -> None:
        self._source, self._metrics = source, metrics
        self._seen, self._poll_seconds, self._pause = seen, poll_seconds, poll_seconds
        self._serving = serving.version.number
        self._refused = 0, ""
        self._stopped = threading.Event()

    def start(self, swap: Callable[[Loaded], object]) -> None:
        """Begin to follow; `swap` is called in the follower's thread."""
        threading.Thread(target=self._follow, args=(swap,), name="follower", daemon=True).start()

    def stop(self) -> None:
        """Follow no longer; a version that is being loaded may still be handed over."""
        self._stopped.set()

    def _follow(self, swap: Callable[[Loaded], object]) -> None:
        while not self._stopped.wait(self._pause):
            self.look(swap)

    def look(self, swap: Callable[[Loaded], object]) -> None:
        """Swap if the log has grown and the alias has moved; an error is logged, never raised."""
        grown = self._seen
        try:
            grown = self._source.length(self._seen)
            if grown > self._seen:
                self._move(swap)
            self._seen, self._pause = grown, self._poll_seconds
        except MillraceError as error:
            self._refuse(grown, str(error))
        except Exception as error:  # the follower must outlive whatever a foreign artifact provokes
            log.exception("following the alias failed")
            self._refuse(grown, repr(error))

    def _move(self, swap: Callable[[Loaded], object]) -> None:
        version = self._source.find()
        if version.number != self._serving:
            swap(self._source.load(version))
            self._serving = version.number
            self._metrics.swaps.labels("done").inc()
            log.info("version %d serves", version.number)

    def _refuse(self, grown: int, reason: str) -> None:
        if (grown, reason) == self._refused:
            self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)
            return
        self._refused, self._pause = (grown, reason), self._poll_seconds
        self._metrics.swaps.labels("refused").inc()
        log.error("refused: %s (version %d goes on serving)", reason, self._serving)
