"""A cluster that is asked again and again whether it is there: one that froze would be waited for, for ever."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any, Final

from deployments.errors import PlatformUnreachable
from tasks.execution.cluster_protocol import Call, Cluster, abandonable_call, settle_future

_EVERY_SECONDS: Final = 5.0


@contextlib.contextmanager
def watched(cluster: Cluster, name: str, seconds: float, every: float = _EVERY_SECONDS) -> Iterator[Cluster]:
    """The same cluster. Once it leaves a question unanswered for `seconds`, all that it was to do ends with
    `PlatformUnreachable`, whose message calls it `name`.
    """
    silent = f"it did not answer for {seconds:g} s"
    found = _Watched(
        cluster, f"the {name} was lost while it fitted ({silent}): see whether it froze, and release again"
    )
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every):
            if wait([abandonable_call(cluster.cores)], timeout=seconds).not_done:
                found.give_up()
                return

    threading.Thread(target=watch, name="seatrial-watch", daemon=True).start()
    try:
        yield found
    finally:
        ended.set()


class _Watched:
    """See `Cluster`. What may block is done aside, where it holds nobody up once the cluster is given up."""

    def __init__(self, cluster: Cluster, told: str) -> None:
        self._cluster = cluster
        self._told = told
        self._given_up = False
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()

    def cores(self) -> int:
        return int(self._asked(self._cluster.cores))

    def versions(self) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = self._asked(self._cluster.versions)
        return found

    def keep(self, value: Any) -> Any:
        return self._asked(lambda: self._cluster.keep(value))

    def start(self, calls: list[Call], kept: list[Any]) -> "Future[list[Any]]":
        started: Future[list[Any]] = self._asked(lambda: self._cluster.start(calls, kept))
        promised: Future[list[Any]] = self._expected()
        started.add_done_callback(lambda done: settle_future(promised, done.result))
        promised.add_done_callback(lambda done: self._cancel(started) if done.cancelled() else None)
        return promised

    def give_up(self) -> None:
        """Whoever waits is told, and whoever asks from now on."""
        with self._lock:
            self._given_up = True
            waiting = list(self._waiting)
        for promised in waiting:
            settle_future(promised, self._refuse)

    def _asked(self, question: Callable[[], Any]) -> Any:
        promised: Future[Any] = self._expected()
        abandonable_call(question).add_done_callback(lambda done: settle_future(promised, done.result))
        return promised.result()

    def _expected(self) -> "Future[Any]":
        promised: Future[Any] = Future()
        with self._lock:
            if self._given_up:
                self._refuse()
            self._waiting.add(promised)
        promised.add_done_callback(self._waiting.discard)
        return promised

    def _cancel(self, started: "Future[Any]") -> None:
        with contextlib.suppress(PlatformUnreachable):
            self._asked(started.cancel)

    def _refuse(self) -> Any:
        raise PlatformUnreachable(self._told)
