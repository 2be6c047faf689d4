"""Events out: a thread reads the journal into the outbox, and one for each receiver sends what waits for it.

Nothing that sends is imported before there is a subscription; Prefect is told in any case.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Final

from deployments.event_delivery.collector import collect
from deployments.event_delivery.outbox import Delivery, Outbox, State, Wanting
from deployments.event_delivery.prefect_events import PrefectReceiver
from deployments.event_delivery.sender import Answer, Sender
from deployments.event_delivery.subscriptions import Subscription, Subscriptions
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.program_log import Complaints, say

_LOOK_EVERY: Final = timedelta(seconds=2)
_FORGET_EVERY: Final = timedelta(hours=1)
_LONGEST_WAIT: Final = timedelta(seconds=30)


@dataclass(slots=True)
class _Line:
    """What is told of events, and the thread that does so until it is `over`."""

    to: Wanting
    woken: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


class EventDelivery:
    """Of one platform. Nothing runs before `look`."""

    def __init__(self, context: Context) -> None:
        self._context, self._clock = context, context.clock
        self._subscriptions = Subscriptions(context.settings.keys_folder)
        self._outbox = cache(lambda: Outbox(context.settings.feedback_database))
        self._prefect = PrefectReceiver(context.open_prefect)
        self._lines: dict[str, _Line] = {}
        self._threads: list[threading.Thread] = []
        self._complaints = Complaints()
        self._forget_at = 0.0

    def run_for_ever(self) -> None:
        """In a thread of its own."""
        while True:
            every = _LOOK_EVERY
            with self._complaints.about("events wait"):
                every = max(every, self._context.open_journal().orders_every)
                self.look()
            self._clock.sleep(every)

    def waiting(self) -> Mapping[str, Mapping[State, int]]:
        """How many have not arrived, by receiver and state."""
        return self._outbox().counts()

    def close(self) -> None:
        """End the threads, each after the try that it is at."""
        self._attend({})
        for thread in self._threads:
            thread.join()
        self._outbox().close()

    def look(self) -> None:
        """Read the journal on, and see to it that each receiver has its thread."""
        # While one cannot be read nothing is taken from the journal: it is to be told of that, too, once it is mended.
        wanted: dict[str, Wanting] = {each.id: each for each in self._subscriptions.all()}
        wanted[self._prefect.id] = self._prefect
        if collect(self._context.open_journal(), self._outbox(), list(wanted.values()), self._clock):
            for line in self._lines.values():
                line.woken.set()
        self._attend(wanted)
        if self._clock.monotonic() >= self._forget_at:
            self._outbox().forget_old(self._clock.now())
            self._forget_at = self._clock.monotonic() + _FORGET_EVERY.total_seconds()

    def _attend(self, wanted: dict[str, Wanting]) -> None:
        for name, line in list(self._lines.items()):
            if wanted.get(name) != line.to:
                line.over.set()
                line.woken.set()
                del self._lines[name]
        for name, to in wanted.items():
            if name not in self._lines:
                self._lines[name] = line = _Line(to)
                thread = threading.Thread(target=self._work, args=(line,), name=f"events-{name}", daemon=True)
                thread.start()
                self._threads = [*(each for each in self._threads if each.is_alive()), thread]

    def _work(self, line: _Line) -> None:
        send, close = self._way_to(line.to)
        sender, complaints = Sender(line.to.id, self._outbox, send, self._clock, say), Complaints()
        while not line.over.is_set():
            line.woken.clear()
            pause = _LONGEST_WAIT
            with complaints.about(f"events for {line.to.id} wait"):
                pause = min(sender.look(), _LONGEST_WAIT)
            line.woken.wait(pause.total_seconds())
        close()

    def _way_to(self, to: Wanting) -> tuple[Callable[[Delivery], Answer], Callable[[], None]]:
        if isinstance(to, Subscription):
            from deployments.event_delivery.receiver import Receiver

            receiver = Receiver(to, self._clock)
            return receiver.send, receiver.close
        return self._prefect.send, lambda: None


def start(context: Context) -> None:
    """Of a service that runs: the threads end with the process."""
    threading.Thread(target=EventDelivery(context).run_for_ever, name="events", daemon=True).start()
