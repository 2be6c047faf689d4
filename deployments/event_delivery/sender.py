"""Sends what waits for one receiver, each product's events in their order, until it has them or a day has passed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from deployments.clock import Clock
from deployments.event_delivery.outbox import Delivery, Outbox, State

GIVEN_UP_AFTER: Final = timedelta(days=1)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Arrived:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Later:
    """It has not, and why. `pause` is what it asks for at least. `away`: nothing else would arrive there either."""

    why: str
    pause: timedelta = timedelta(0)
    away: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants no events any more, and says so."""

    why: str


Answer = Arrived | Later | Gone


class Sender:
    """`send` makes one try; `tell` is given a line for what an operator would ask.

    Pauses are counted on a clock that never goes back, so they begin anew with the process; the outbox counts tries.
    """

    def __init__(
        self,
        subscription: str,
        open_outbox: Callable[[], Outbox],
        send: Callable[[Delivery], Answer],
        clock: Clock,
        tell: Callable[[str], None],
        chance: random.Random | None = None,
    ) -> None:
        self._subscription, self._open_outbox, self._send = subscription, open_outbox, send
        self._clock, self._tell = clock, tell
        self._chance = chance or random.SystemRandom()
        self._due: dict[str, float] = {}
        self._away_until = 0.0
        self._resent = 0
        self._said = ""

    def look(self) -> timedelta:
        """Send what is due; how long nothing is then. Raises what the outbox raises."""
        outbox = self._open_outbox()
        if (resent := outbox.resent()) != self._resent:
            self._resent, self._away_until = resent, 0.0
            self._due.clear()
        while True:
            now, heads = self._clock.monotonic(), outbox.heads(self._subscription)
            self._due = {each.occurrence.product: self._due_at(each) for each in heads}
            due = [each for each in heads if self._due[each.occurrence.product] <= now]
            if now < self._away_until or not due:
                ends = max(self._away_until, min(self._due.values(), default=now + _LONGEST_PAUSE.total_seconds()))
                return timedelta(seconds=max(0.0, ends - now))
            for each in due:
                if not self._one(outbox, each):
                    break

    def _due_at(self, delivery: Delivery) -> float:
        return self._due.get(delivery.occurrence.product, 0.0) if delivery.tries else 0.0

    def _one(self, outbox: Outbox, delivery: Delivery) -> bool:
        """Whether others may be tried now."""
        match self._tried(delivery):
            case Arrived():
                outbox.arrived(delivery)
                self._away_until = 0.0
                self._say("")
                return True
            case Gone(why):
                outbox.disable(self._subscription, why)
                self._tell(f"events for {self._subscription} end: {why}")
                return False
            case Later(why, pause, away):
                return self._put_off(outbox, delivery, why, max(pause, self._pause(delivery.tries)), away)

    def _tried(self, delivery: Delivery) -> Answer:
        try:
            return self._send(delivery)
        except Exception as error:  # noqa: BLE001 - one event that cannot be sent keeps no others
            return Later(f"it cannot be sent ({type(error).__name__})")

    def _put_off(self, outbox: Outbox, delivery: Delivery, why: str, pause: timedelta, away: bool) -> bool:
        over = self._clock.now() - delivery.came >= GIVEN_UP_AFTER
        outbox.failed(delivery, State.DEAD if over else State.WAITING, why)
        until = self._clock.monotonic() + min(pause, GIVEN_UP_AFTER).total_seconds()
        self._due[delivery.occurrence.product] = until
        if away:
            self._away_until = until
        self._say(f"an event for {self._subscription} is given up: {why}" if over else f"events wait: {why}")
        return not away

    def _pause(self, tries: int) -> timedelta:
        longest = min(_FIRST_PAUSE * 2.0 ** min(tries, 20), _LONGEST_PAUSE)
        return longest * self._chance.uniform(0.5, 1.0)

    def _say(self, what: str) -> None:
        if what and what != self._said:
            self._tell(what if self._subscription in what else f"{self._subscription}: {what}")
        self._said = what
