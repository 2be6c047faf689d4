"""The named retry policies. What is retried is idempotent, and its docstring says how."""

from typing import Any, Final, TypedDict

from deployments.errors import JournalUnreachable, TryAgain


class Policy(TypedDict):
    """Keyword arguments of a Prefect task."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any


def _worth_it(task: Any, run: Any, state: Any) -> bool:
    """Only errors that say so themselves: a wrong spec or a refused gate stays wrong however often it is tried."""
    try:
        state.result()
    except TryAgain:
        return True
    except BaseException:  # noqa: BLE001 - any other outcome is final; Prefect reports it, not we
        return False
    return False


def _once_or_while_the_journal_is_away(task: Any, run: Any, state: Any) -> bool:
    """A step has waited for all other parts already, and given users back; all else waits for its journal."""
    try:
        state.result()
    except JournalUnreachable:
        return True
    except BaseException:  # noqa: BLE001 - judged as everywhere else
        return run.run_count < 2 and _worth_it(task, run, state)
    return False


NETWORK: Final[Policy] = {"retries": 3, "retry_delay_seconds": [1, 5, 15], "retry_condition_fn": _worth_it}
PROCESS: Final[Policy] = {"retries": 1, "retry_delay_seconds": [1], "retry_condition_fn": _worth_it}
STEP: Final[Policy] = {
    "retries": 5,
    "retry_delay_seconds": [1, 5, 15, 30, 60],
    "retry_condition_fn": _once_or_while_the_journal_is_away,
}
NEVER: Final[Policy] = {"retries": 0, "retry_delay_seconds": [], "retry_condition_fn": _worth_it}
