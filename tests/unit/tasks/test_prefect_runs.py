"""Prefect's word on a run."""

from typing import Any
from uuid import uuid4

import pytest
from prefect import State
from prefect.states import Cancelled, Cancelling, Running

from tasks import prefect_runs
from tasks.final_states import ABORTED, REFUSED, ROLLED_BACK


def test_a_cancellation_stays_the_answer_to_everybody_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[object]] = []

    def cancelled(of: set[object]) -> bool:
        asked.append(of)
        return True

    monkeypatch.setattr(prefect_runs, "_any_cancelled", cancelled)
    stop = prefect_runs.cancellation(str(uuid4()))
    assert [stop(), stop(), stop()] == ["cancelled in Prefect"] * 3
    assert len(asked) == 1


def test_prefect_is_asked_every_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[object]] = []
    monkeypatch.setattr(prefect_runs, "_any_cancelled", lambda of: bool(asked.append(of)))
    stop = prefect_runs.cancellation(str(uuid4()))
    assert [stop(), stop()] == [None, None]
    assert len(asked) == 1


def test_prefect_is_asked_by_a_client_of_our_own_for_that_of_the_run_may_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.context import SyncClientContext
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr(SyncPrefectClient, "__enter__", lambda client: client)
    monkeypatch.setattr(SyncPrefectClient, "__exit__", lambda *_: None)
    monkeypatch.setattr(SyncPrefectClient, "raise_for_api_version_mismatch", lambda _: None)
    asked: list[SyncPrefectClient] = []
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), SyncClientContext() as run:
        prefect_runs._with_prefect(asked.append)
        assert asked[0] is not run.client


@pytest.mark.parametrize(
    ("state", "cancelled"),
    [
        (Cancelled(), True), (Cancelling(), True), (Cancelled(name="Skipped"), True), (Running(), False),
        (Cancelled(name=REFUSED), False), (Cancelled(name=ROLLED_BACK), False), (Cancelled(name=ABORTED), False),
    ],
)  # fmt: skip
def test_a_run_that_ended_by_name_was_cancelled_by_nobody(state: State[Any], cancelled: bool) -> None:
    assert prefect_runs._by_a_person(state) is cancelled
