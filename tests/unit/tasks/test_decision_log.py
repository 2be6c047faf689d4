"""The history says which command ended, and how."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments import wiring
from deployments.errors import GateRefused, NotFound
from deployments.journals.in_memory import InMemoryJournal
from deployments.journals.protocol import Event
from deployments.process_identity import this_process
from deployments.settings import Settings
from tasks.decision_log import died_silently, record_failure
from tasks.run_context import open_run

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "doing", "kind"),
    [
        (GateRefused("not good enough"), "release", "release.refused"),
        (NotFound("v1 replaced nobody"), "rollback", "rollback.failed"),
        (KeyboardInterrupt(), "rollback", "rollback.interrupted"),
    ],
)
def test_a_failure_is_told_by_the_name_of_what_failed(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, doing: str, kind: str
) -> None:
    journal = InMemoryJournal()
    monkeypatch.setattr(wiring, "journal", lambda: journal)
    run = open_run("a run", "flights", Settings(project=PROJECT))
    record_failure(run, error, doing)
    assert [event.kind for event in journal.events("flights")] == [kind]


def test_a_run_that_died_in_the_middle_of_its_rollout_is_named_once() -> None:
    journal, now = InMemoryJournal(), datetime(2026, 1, 1, tzinfo=UTC)
    dead = str(replace(this_process(), pid=2**22 + 1))
    journal.record(Event("flights", "a run", now, "release.asked", {"process": dead}))
    journal.record(Event("flights", "a run", now, "step.done", {}))
    assert died_silently("flights", journal) == ("a run",)
    assert died_silently("flights", journal) == ()


def test_a_run_whose_rollout_came_to_its_end_did_not_die_silently() -> None:
    journal, now = InMemoryJournal(), datetime(2026, 1, 1, tzinfo=UTC)
    dead = str(replace(this_process(), pid=2**22 + 1))
    journal.record(Event("flights", "a run", now, "release.asked", {"process": dead}))
    journal.record(Event("flights", "a run", now, "rollout.done", {}))
    assert died_silently("flights", journal) == ()
