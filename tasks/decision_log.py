"""Writing decisions into the product's history, where they can be explained a year later."""

from collections.abc import Iterator
from contextlib import contextmanager

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import Refused
from deployments.journals.protocol import Event, Journal
from deployments.process_identity import Owner, this_process
from tasks.asked_by import asked_by
from tasks.operator_log import tell
from tasks.rollout_engine.reasons import explain
from tasks.run_context import Run
from tasks.secondary_errors import noting_failures
from tasks.signals import PRESENT

_ENDS = (".refused", ".failed", ".interrupted", ".done", ".rolled_back")


def record(run: Run, kind: str, **detail: object) -> None:
    """One event of this run; `kind` is a dotted word."""
    wiring.journal().record(Event(run.product, run.run_id, SystemClock().now(), kind, detail))


def record_asked(run: Run, doing: str, **detail: object) -> None:
    """The beginning of a run, with the process that works on it; `doing` is `release` or `rollback`."""
    record(run, f"{doing}.asked", process=str(this_process()), who=asked_by(), **detail)


def record_failure(run: Run, error: BaseException, doing: str = "release") -> None:
    """The run ended without a new champion, and why; `doing` is `release` or `rollback`."""
    if isinstance(error, Refused):
        kind = f"{doing}.refused"
    elif isinstance(error, Exception):
        kind = f"{doing}.failed"
    else:
        kind = f"{doing}.interrupted"
    record(run, kind, reason=explain(error))
    tell(kind, reason=explain(error).splitlines()[0])


@contextmanager
def failure_recorded(run: Run, doing: str = "release") -> Iterator[None]:
    """A block whose failure is written down; what stands for an interruption comes out of it as one."""
    try:
        yield
    except BaseException as error:
        cause = PRESENT.cause(error)
        with noting_failures(cause, "writing it into the history"):
            record_failure(run, cause, doing)
        if cause is error:
            raise
        raise cause from error


def died_silently(product: str, journal: Journal) -> tuple[str, ...]:
    """Runs that were asked for and whose process died before their end; that is written down, so each is named once."""
    asked: dict[str, str] = {}
    for event in journal.events(product):
        if event.kind.endswith(".asked"):
            asked[event.run] = event.detail.get("process", "")
        elif event.kind.endswith(_ENDS) and not event.kind.startswith("step."):
            asked.pop(event.run, None)
    dead = tuple(run for run, process in asked.items() if process and Owner.parse(process).is_gone())
    for run in dead:
        journal.record(Event(product, run, SystemClock().now(), "run.interrupted", {"reason": "its process died"}))
    return dead
