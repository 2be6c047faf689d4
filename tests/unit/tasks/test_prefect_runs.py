"""Prefect's word on a run."""

from uuid import uuid4

import pytest

from tasks import prefect_runs


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
