"""From an accepted delivery to a run in Prefect, exactly one: tried until it is there or can never be.

The key of each start is the delivery's mark, so a start that is done again after a crash finds its own run.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from deployments.clock import Clock
from deployments.errors import BadInput, NotFound, SeatrialError, TryAgain
from deployments.journals.protocol import Event, Journal
from deployments.journals.registration_notes import registration_of
from deployments.plurals import counted
from deployments.prefect_api import PrefectApi, release_deployment
from deployments.webhooks.inbox import Delivery, Inbox, State
from deployments.webhooks.requests import Action

_AT_ONCE: Final = 100
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
# A deployment that is not there may be made: `up` does so, and whoever has just written a spec.
NO_DEPLOYMENT_FOR: Final = timedelta(hours=1)
# How long its deliveries then wait for the next look.
STUCK_FOR: Final = timedelta(seconds=10)
# A worker that lives has begun a run by then, on a busy machine too.
TAKEN_FOR: Final = timedelta(minutes=5)
_TAG: Final = "webhook"
STARTED: Final = "webhook.started"
REFUSED: Final = "webhook.refused"
GIVEN_UP: Final = "webhook.given_up"


@dataclass(frozen=True, slots=True)
class Openers:
    """Doors that may come up later: each is asked when it is needed."""

    inbox: Callable[[], Inbox]
    journal: Callable[[], Journal]
    prefect: Callable[[], PrefectApi]


class Dispatcher:
    """Starts the runs of what was accepted, oldest first. `tell` is given a line for what an operator would ask."""

    def __init__(self, doors: Openers, clock: Clock, tell: Callable[[str], None]) -> None:
        self._doors, self._clock, self._tell = doors, clock, tell
        self._woken = threading.Event()
        self._born = clock.now()
        self._failures, self._said = 0, ""
        self._due: dict[str, float] = {}
        self._stuck: dict[str, float] = {}

    def wake(self) -> None:
        """Something was accepted."""
        self._woken.set()

    def run_for_ever(self) -> None:
        """In a thread of its own."""
        while True:
            self._woken.clear()
            pause = self.look()
            if self._failures:  # what comes meanwhile waits, too
                self._clock.sleep(pause)
            else:
                self._woken.wait(pause.total_seconds())

    def look(self) -> timedelta:
        """Start what waits; how long to wait then. What goes wrong is said once, and tried again."""
        try:
            stuck = self._start_waiting()
            if self._is_due("runs", TAKEN_FOR / 10):
                with suppress(TryAgain):  # nobody waits for it who would have to be told
                    self._give_on()
            if self._is_due("old", timedelta(hours=1)):
                self._doors.inbox().forget(self._clock.now())
        except Exception as error:  # noqa: BLE001 - whatever stands in the way may be gone the next time
            self._failures += 1
            why = str(error) if isinstance(error, SeatrialError) else type(error).__name__
            self._say(f"webhooks wait: {why}{self._number_waiting()}")
            return min(_FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10), _LONGEST_PAUSE)
        if self._failures:
            self._tell("webhooks go on: what they waited for is there again")
            self._failures = 0
        if not stuck:
            self._said = ""
        return STUCK_FOR if stuck else _LONGEST_PAUSE

    def _start_waiting(self) -> set[str]:
        """Products whose deployment is not there; one product does not keep another one waiting."""
        now = self._clock.monotonic()
        self._stuck = {product: until for product, until in self._stuck.items() if until > now}
        stuck = set(self._stuck)
        while some := self._doors.inbox().waiting(_AT_ONCE, stuck):
            for delivery in some:
                if delivery.product not in stuck and not self._start(delivery):
                    stuck.add(delivery.product)
                    self._stuck[delivery.product] = now + STUCK_FOR.total_seconds()
        return stuck

    def _start(self, delivery: Delivery) -> bool:
        """Whether something became of it; not of one whose deployment is not there yet."""
        if why := self._impossible(delivery):
            self._end(delivery, State.REFUSED, REFUSED, why)
        elif self._is_served(delivery):
            why = f"a rollout of v{delivery.wish.version} is or was under way"
            self._doors.inbox().became(delivery.mark, State.NOTHING, why)
        else:
            return self._begin(delivery)
        return True

    def _begin(self, delivery: Delivery) -> bool:
        deployment, parameters = _asked(delivery)
        key, tags = f"webhook-{delivery.mark}", (_TAG, delivery.source)
        try:
            run = self._doors.prefect().start_run(deployment, parameters, key, tags, delivery.who)
        except NotFound as error:
            if self._clock.now() - delivery.received < NO_DEPLOYMENT_FOR:
                if delivery.why != (why := f"{error} yet"):
                    self._doors.inbox().became(delivery.mark, State.WAITING, why)
                self._say(f"deliveries for {delivery.product} are kept until they can start: {error}")
                return False
            self._end(delivery, State.DEAD, GIVEN_UP, str(error))
            return True
        except BadInput as error:
            self._end(delivery, State.DEAD, GIVEN_UP, str(error))
            return True
        except TryAgain as error:
            if delivery.why != str(error):
                self._doors.inbox().became(delivery.mark, State.WAITING, str(error))
            raise
        detail = {"who": delivery.who, "reason": delivery.wish.reason, "delivery": delivery.delivery}
        self._note(Event(delivery.product, str(run.id), self._clock.now(), STARTED, detail), delivery)
        self._doors.inbox().became(delivery.mark, State.STARTED, run=str(run.id))
        self._tell(f"{delivery.product}: {delivery.wish.action} started by {delivery.who}: {delivery.wish.reason}")
        return True

    def _end(self, delivery: Delivery, state: State, kind: str, why: str) -> None:
        detail = {"who": delivery.who, "reason": why, "why": delivery.wish.reason, "delivery": delivery.delivery}
        run = f"webhook-{delivery.mark[:12]}"
        self._note(Event(delivery.product, run, self._clock.now(), kind, detail), delivery)
        self._doors.inbox().became(delivery.mark, state, why)
        self._tell(f"{delivery.product}: a webhook of {delivery.source} came to nothing: {why}")

    def _note(self, event: Event, delivery: Delivery) -> None:
        """Into the history, unless a process that died had come so far."""
        journal = self._doors.journal()
        is_old = delivery.received < self._born
        known = journal.events(event.product) if is_old else ()
        if not any(each.kind == event.kind and each.run == event.run for each in known):
            journal.record(event)

    def _impossible(self, delivery: Delivery) -> str:
        """Why a version cannot be rolled out: only what Seatrial's gate let pass and its journal knows may be."""
        version = delivery.wish.version
        if version is None:
            return ""
        if registration_of(self._doors.journal().events(delivery.product), version) is None:
            return (
                f"v{version} was not registered by Seatrial, so nothing has judged it: "
                f"`seatrial release {delivery.product}` makes a version that is"
            )
        return ""

    def _is_served(self, delivery: Delivery) -> bool:
        """Whether a rollout of this version is under way, or was since: Seatrial itself sets `challenger`."""
        version = delivery.wish.version
        return version is not None and any(
            state.candidate == version and (state.live or state.updated_at >= delivery.since)
            for state in self._doors.journal().rollouts(delivery.product)
        )

    def _give_on(self) -> None:
        """A run that a worker took and did not begin, since it was killed, is given to the next one."""
        for run, since in self._doors.prefect().pending(_TAG).items():
            if self._clock.now() - since > TAKEN_FOR:
                self._doors.prefect().schedule_again(run)
                self._tell(f"a worker took the run {run} and did not begin it: another one may")

    def _is_due(self, what: str, every: timedelta) -> bool:
        now = self._clock.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every.total_seconds()
        return True

    def _number_waiting(self) -> str:
        try:
            number = sum(self._doors.inbox().count_waiting().values())
        except SeatrialError:
            return ""
        return f" ({counted(number, 'delivery waits', 'deliveries wait')})" if number else ""

    def _say(self, what: str) -> None:
        if what != self._said:
            self._tell(what)
        self._said = what


def _asked(delivery: Delivery) -> tuple[str, dict[str, Any]]:
    """Deployment and parameters: a fixed choice for each action, with the product's name and a number in it."""
    request: dict[str, Any] = {"product": delivery.product}
    if delivery.wish.action is Action.ROLLOUT:
        return "retry/retry", {"request": request | {"version": delivery.wish.version}}
    return release_deployment(delivery.product), {"request": request}
