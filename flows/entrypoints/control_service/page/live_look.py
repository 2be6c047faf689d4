"""One look at all products for everybody who watches: what many people see costs what one does."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from deployments.clock import Clock
from deployments.errors import NotFound, SeatrialError
from deployments.journals.protocol import Event, Journal
from deployments.prefect_api import PrefectApi
from deployments.rollout.operator_commands import Order
from deployments.rollout.state import RolloutState
from flows.entrypoints.control_service.page.course import Course
from flows.entrypoints.program_log import Complaints
from flows.reports.products import RouterOf, SpecFile, product_report, specs_by_product
from flows.reports.schedules import schedules_report

# Whoever watches sees what happened within this time.
EVERY: Final = timedelta(seconds=0.5)
# Shares are read again when a rollout has moved, and as often as this besides: hands may change them.
_SHARES_EVERY: Final = timedelta(seconds=5)
_SCHEDULES_EVERY: Final = timedelta(seconds=60)
MOST_EVENTS: Final = 200
MOST_ROLLOUTS: Final = 25
_MOST_COURSES: Final = 12
# Of events between two looks.
_MOST_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """All products as one look found them: reports as `flows.reports.products` makes them, with `schedule` in each.

    `number` grows with each look that found something changed. `trouble` says what could not be read; then the rest is
    what was seen before. `changed` is the number of the look that found a product changed the last time, `last` the
    newest event of all.
    """

    number: int
    at: datetime
    reports: Mapping[str, Mapping[str, Any]]
    states: Mapping[str, RolloutState]
    trouble: str
    changed: Mapping[str, int]
    last: Event | None


@dataclass(frozen=True, slots=True)
class Links:
    """Where Prefect's and MLflow's pages are, for a browser; None where that is not known."""

    prefect: str | None = None
    mlflow: str | None = None


@dataclass(frozen=True, slots=True)
class ProductSeen:
    """One product: `orders` are those not dealt with yet, `carried` whether a process works on the rollout."""

    report: Mapping[str, Any]
    state: RolloutState | None
    course: Course | None
    events: tuple[Event, ...]
    rollouts: tuple[RolloutState, ...]
    orders: tuple[Order, ...]
    carried: bool
    links: Links


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a look looks. `one_look` is a block in which the gateway is asked once for all products."""

    journal: Callable[[], Journal]
    router_of: RouterOf
    one_look: Callable[[], AbstractContextManager[None]]
    prefect: Callable[[], PrefectApi]
    links: Callable[[], Links]
    specs: Path
    clock: Clock


@dataclass(slots=True)
class LiveLook:
    """Safe for several threads: one looks, the others get what it saw."""

    sources: Sources
    _seen: Seen | None = None
    _looked: float = 0.0
    _shares_at: float = 0.0
    _files: tuple[object, Mapping[str, SpecFile]] | None = None
    _courses: dict[str, Course] = field(default_factory=dict)
    _schedules: Mapping[str, Any] = field(default_factory=dict)
    _schedules_at: float | None = None
    _asking: threading.Thread | None = None
    _complaints: Complaints = field(default_factory=Complaints)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> Seen:
        """What there is, at most half a second old."""
        with self._turn:
            passed = self.sources.clock.monotonic() - self._looked
            if self._seen is None or passed >= EVERY.total_seconds():
                self._seen = self._look(self._seen)
                self._looked = self.sources.clock.monotonic()
            return self._seen

    def product(self, name: str) -> ProductSeen:
        """One product, read from the journal now. Raises `NotFound` for one that nobody knows."""
        seen = self.now()
        if name not in seen.reports:
            raise NotFound(f"there is no product {name!r} here")
        report, state = seen.reports[name], seen.states.get(name)
        if seen.trouble:
            known = self._courses.get(state.rollout_id) if state else None
            return ProductSeen(report, state, known, (), (), (), True, self.sources.links())
        journal = self.sources.journal()
        with self._turn:
            course = None if state is None else self._course(state, journal)
        return ProductSeen(
            report,
            state,
            course,
            journal.events(name, MOST_EVENTS),
            journal.rollouts(name, MOST_ROLLOUTS),
            journal.orders(state.rollout_id, state.orders_done) if state is not None and state.live else (),
            state is None or not state.live or journal.holder(name, self.sources.clock.now()) is not None,
            self.sources.links(),
        )

    def _look(self, before: Seen | None) -> Seen:
        trouble, last = "", None
        states: Mapping[str, RolloutState] = before.states if before else {}
        touched: set[str] = set()
        try:
            journal = self.sources.journal()
            states = {each.product: each for each in journal.newest()}
            touched, last = self._told_since(before, journal)
        except SeatrialError as error:
            trouble = f"The journal does not answer, so this is what was known before: {error}"
            last = before.last if before else None
        known = before.states if before else {}
        moved = {name for name, state in states.items() if state is not known.get(name)}
        reports = self._reports(states, before, moved=bool(moved or touched))
        reported = before.reports if before else {}
        touched |= moved | {name for name, report in reports.items() if report != reported.get(name)}
        if before is not None and not touched and trouble == before.trouble and list(reports) == list(reported):
            return before
        number = before.number + 1 if before else 1
        changed = {
            name: number if name in touched else before.changed.get(name, number) if before else number
            for name in reports
        }
        return Seen(number, self.sources.clock.now(), reports, states, trouble, changed, last)

    def _told_since(self, before: Seen | None, journal: Journal) -> tuple[set[str], Event | None]:
        """The products of which the history has grown, and its newest event."""
        newest = journal.events(None, 1)
        last = newest[-1] if newest else None
        if before is None or last is None or last == before.last:
            return set(), last
        return {each.product for each in journal.events(None, _MOST_AT_ONCE)}, last

    def _reports(
        self, states: Mapping[str, RolloutState], before: Seen | None, *, moved: bool
    ) -> Mapping[str, Mapping[str, Any]]:
        clock, specs = self.sources.clock, self._specs()
        schedules = self._schedule()
        due = clock.monotonic() - self._shares_at >= _SHARES_EVERY.total_seconds()
        names = sorted({*states, *specs})
        if before is not None and not moved and not due and names == list(before.reports):
            known = before.reports
            found = {name: dict(known[name]) for name in names}
        else:
            self._shares_at = clock.monotonic()
            with self.sources.one_look():
                found = {
                    name: product_report(name, states.get(name), self.sources.router_of, specs.get(name))
                    for name in names
                }
        for name, report in found.items():
            report["schedule"] = schedules.get(name)
        return dict(found)

    def _specs(self) -> Mapping[str, SpecFile]:
        """Read again when a file of the folder has changed."""
        try:
            mark = sorted(
                (each.name, each.stat().st_mtime_ns, each.stat().st_size) for each in self.sources.specs.glob("*.yaml")
            )
        except OSError:
            mark = []
        if self._files is None or self._files[0] != mark:
            self._files = mark, specs_by_product(self.sources.specs)
        return self._files[1]

    def _schedule(self) -> Mapping[str, Any]:
        """As Prefect said a minute ago or less; nobody waits for it."""
        now = self.sources.clock.monotonic()
        due = self._schedules_at is None or now - self._schedules_at >= _SCHEDULES_EVERY.total_seconds()
        if due and (self._asking is None or not self._asking.is_alive()):
            self._schedules_at = now
            self._asking = threading.Thread(target=self._ask_prefect, name="schedules", daemon=True)
            self._asking.start()
        return self._schedules

    def _ask_prefect(self) -> None:
        with self._complaints.about("the page has no schedules", (SeatrialError, OSError)):
            self._schedules = schedules_report(self.sources.prefect())  # a client that others use, too

    def _course(self, state: RolloutState, journal: Journal) -> Course:
        known = self._courses.pop(state.rollout_id, None)
        if known is None or known.began != state.started_at:
            known = Course(state.rollout_id, state.started_at)
        known.follow(state, journal)
        self._courses[state.rollout_id] = known
        while len(self._courses) > _MOST_COURSES:
            self._courses.pop(next(iter(self._courses)))
        return known
