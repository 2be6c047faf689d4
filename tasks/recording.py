"""Writing decisions into the product's history, where they can be explained a year later."""

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import Refused
from deployments.journals.protocol import Event
from tasks.events import tell
from tasks.product import Run
from tasks.rollouts.executor import explain


def record(run: Run, kind: str, **detail: object) -> None:
    """One event of this run; `kind` is a dotted word."""
    wiring.journal().record(Event(run.product, run.run_id, SystemClock().now(), kind, detail))


def record_failure(run: Run, error: BaseException) -> None:
    """The run ended without a new champion, and why."""
    if isinstance(error, Refused):
        kind = "release.refused"
    elif isinstance(error, Exception):
        kind = "release.failed"
    else:
        kind = "release.interrupted"
    record(run, kind, reason=explain(error))
    tell(kind, reason=explain(error).splitlines()[0])
