"""What a rollout that was given up raises: by evidence, or because a person said so."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deployments.errors import RolloutAborted, RolloutFailed, RouterUnreachable
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import Phase
from tasks.rollout_engine.cancellation import CANCELLED
from tasks.rollout_engine.reasons import outcome, so_far
from tests.unit.deployments.rollout.a_rollout import rollout

ORDER = Order(1, "r1", Verb.ABORT, "ann", "lunch", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("reason", [str(ORDER), str(replace(ORDER, reason="")), CANCELLED])
def test_what_a_person_ended_is_told_as_aborted_also_where_something_was_left_to_do(reason: str) -> None:
    given_up = replace(rollout(Phase.RESTORING, 3), reason=reason)
    left = replace(given_up, reason=so_far(given_up, RouterUnreachable("the gateway is away"), users_are_back=True))
    for state in (given_up, left):
        with pytest.raises(RolloutAborted, match=reason):
            outcome(replace(state, phase=Phase.ROLLED_BACK))


@pytest.mark.parametrize("reason", ["errors: 9 of 10", str(replace(ORDER, verb=Verb.PAUSE)), "aborted by the server"])
def test_what_the_evidence_ended_is_no_abort(reason: str) -> None:
    with pytest.raises(RolloutFailed) as raised:
        outcome(replace(rollout(Phase.ROLLED_BACK, 3), reason=reason))
    assert type(raised.value) is RolloutFailed
