"""How a run ends that was refused, rolled back or aborted: as a state of that name in Prefect, with the reason.

Their type is CANCELLED: Prefect retries none of it, and shows it neither as a failure nor as a success. The error stays
with the state, so whoever called the run gets it as it was raised. A defect ends as Prefect's own `Failed`.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, cast

import prefect
from prefect import State
from prefect.context import FlowRunContext
from prefect.states import Cancelled

from deployments.errors import BadInput, Busy, Refused, RolloutAborted, RolloutFailed, SeatrialError
from tasks.secondary_errors import full_text

P = ParamSpec("P")
R = TypeVar("R")

REFUSED: Final = "Refused"  # by data, gate or spec, or because there is nothing to do it to; nothing moved
ROLLED_BACK: Final = "RolledBack"  # the champion serves as before
ABORTED: Final = "Aborted"  # as ROLLED_BACK, because a person said so
# Of all of them nobody has to try again.
ENDS: Final = frozenset({REFUSED, ROLLED_BACK, ABORTED})
_LOGGERS: Final = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")


def name_of(error: BaseException) -> str | None:
    """The name of the state that `error` ends in; None: something broke, and Prefect may call it a failure."""
    match error:
        case RolloutAborted():
            return ABORTED
        case RolloutFailed():
            return ROLLED_BACK
        case Refused() | BadInput() | Busy():
            return REFUSED
    return None


def named_end(act: Callable[P, R]) -> Callable[P, R]:
    """What a flow does, so that its run ends by name; whoever calls it, as a flow or not, gets the error as before."""

    @wraps(act)
    def told(*args: P.args, **kwargs: P.kwargs) -> Any:
        _keep_traces_to_defects()
        try:
            return act(*args, **kwargs)
        except SeatrialError as error:
            if FlowRunContext.get() is None or (name := name_of(error)) is None:
                raise
            return _state(name, error)

    return told


class NamedEndTask(Generic[P, R]):
    """A task of Prefect's that ends by name. Called, it returns or raises what its function did; `fn` is that."""

    def __init__(self, act: Callable[P, R], task: prefect.Task[P, R]) -> None:
        self.fn, self._task = act, task

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """As a task run of the present flow run."""
        result: Any = self._task(*args, **kwargs)
        if isinstance(result, State):
            result.result(_sync=True)  # type: ignore[call-overload]  # raises; Prefect's types leave the flag out
        return cast(R, result)

    def with_options(self, **options: Any) -> Self:
        """The same task with other options of Prefect's."""
        return type(self)(self.fn, self._task.with_options(**options))


def task(**options: Any) -> Callable[[Callable[P, R]], NamedEndTask[P, R]]:
    """`prefect.task`, with the same options, for tasks that end by name."""

    def made(act: Callable[P, R]) -> NamedEndTask[P, R]:
        return NamedEndTask(act, prefect.task(**options)(named_end(act)))

    return made


def _state(name: str, error: SeatrialError) -> State[Any]:
    return Cancelled(name=name, message=full_text(error), data=error)


def _keep_traces_to_defects() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _WithoutTraces) for each in logger.filters):
            logger.addFilter(_WithoutTraces())


class _WithoutTraces(logging.Filter):
    """An error that was raised on purpose says all in its message: where it was raised helps nobody."""

    def filter(self, record: logging.LogRecord) -> bool:
        raised = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(raised, SeatrialError):
            record.exc_info = None
            # What ended by name has been told by its state.
            return name_of(raised) is None
        return True
