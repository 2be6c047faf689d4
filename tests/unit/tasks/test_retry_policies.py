"""What is tried again, and how often."""

from typing import Any

import pytest
from prefect.client.schemas import TaskRun
from prefect.states import Completed, exception_to_failed_state
from prefect.utilities.asyncutils import run_coro_as_sync

from deployments.errors import Busy, JournalUnreachable, RegistryUnreachable
from tasks import retry_policies


def again(policy: retry_policies.Policy, error: BaseException, tried: int) -> bool:
    state = run_coro_as_sync(exception_to_failed_state(error))
    run = TaskRun(task_key="step", dynamic_key="0", run_count=tried)
    outcome: Any = policy["retry_condition_fn"](None, run, state)
    return bool(outcome)


@pytest.mark.parametrize(
    ("error", "tried", "expected"),
    [
        (JournalUnreachable(), 1, True),
        (JournalUnreachable(), 5, True),
        (RegistryUnreachable(), 1, True),
        (RegistryUnreachable(), 2, False),
        (Busy(), 1, False),
        (KeyError(), 1, False),
    ],
)
def test_a_step_waits_for_its_journal_and_is_tried_once_more_for_all_else_that_says_so(
    error: BaseException, tried: int, expected: bool
) -> None:
    assert again(retry_policies.STEP, error, tried) is expected


def test_a_step_that_succeeded_is_not_repeated() -> None:
    assert not retry_policies.STEP["retry_condition_fn"](None, None, Completed(data=1))


def test_a_minute_without_a_journal_is_outlasted() -> None:
    assert sum(retry_policies.STEP["retry_delay_seconds"]) > 60
    assert len(retry_policies.STEP["retry_delay_seconds"]) == retry_policies.STEP["retries"]
