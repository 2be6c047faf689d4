"""The history says which command ended, and how."""

from pathlib import Path

import pytest

from deployments import wiring
from deployments.errors import GateRefused, NotFound
from deployments.journals.in_memory import InMemoryJournal
from deployments.settings import Settings
from tasks.product import open_run
from tasks.recording import record_failure

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
