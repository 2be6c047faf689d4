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
