"""Many deliveries, few commits: what came while the disk was busy is written together."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from deployments.errors import SeatrialError
from deployments.webhooks.inbox import Delivery, Inbox, Kept

_MOST_TOGETHER: Final = 500


class GroupCommit:
    """A thread that puts deliveries into the inbox; a commit costs the same for one and for hundreds.

    The inbox is opened by the first delivery, so that its database may come up later. `kept` is called after each
    commit that kept something.
    """

    def __init__(self, open_inbox: Callable[[], Inbox], kept: Callable[[], None] = lambda: None) -> None:
        self._open_inbox, self._kept = open_inbox, kept
        self._queue: queue.SimpleQueue[tuple[Delivery, Future[Kept]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="webhooks-inbox", daemon=True).start()

    def put(self, delivery: Delivery) -> "Future[Kept]":
        """What became of it, once it is on the disk; or the `SeatrialError` of `Inbox.put`: then it is not kept."""
        future: Future[Kept] = Future()
        self._queue.put((delivery, future))
        return future

    def _run(self) -> None:
        while True:
            together = [self._queue.get()]
            while len(together) < _MOST_TOGETHER and not self._queue.empty():
                together.append(self._queue.get())
            # Whoever waits no longer has been told nothing: it is as if that had never come.
            self._commit([each for each in together if each[1].set_running_or_notify_cancel()])

    def _commit(self, together: list[tuple[Delivery, "Future[Kept]"]]) -> None:
        if not together:
            return
        try:
            became = self._open_inbox().put([delivery for delivery, _ in together])
        except Exception as error:  # noqa: BLE001 - each of them is answered, whatever it is
            for _, future in together:
                future.set_exception(error if isinstance(error, SeatrialError) else RuntimeError(type(error).__name__))
            return
        if Kept.NEW in became:
            self._kept()
        for (_, future), how in zip(together, became, strict=True):
            future.set_result(how)
