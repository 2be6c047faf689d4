"""What Ctrl-C leaves of a transaction."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.journals.database import DatabaseJournal
from deployments.process_identity import this_process

NOW, LONG = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)


def interrupted_after(execute: Callable[..., None], word: str) -> Callable[..., None]:
    """The same, with Ctrl-C once a statement with `word` was carried out."""

    def interrupted(cursor: Any, statement: str, *rest: Any) -> None:
        execute(cursor, statement, *rest)
        if word in statement:
            raise KeyboardInterrupt

    return interrupted


@pytest.mark.parametrize("word", ["SELECT", "UPDATE"])
def test_an_interrupted_transaction_locks_nobody_out_while_its_traceback_is_looked_at(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = DatabaseJournal(f"sqlite:///{tmp_path / 'journal.db'}")
    lease = journal.acquire("shop", this_process(), NOW, LONG)
    dialect = journal._database._engine.dialect
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt) as interruption:
        patched.setattr(dialect, "do_execute", interrupted_after(dialect.do_execute, word))
        journal.acquire("shop", this_process(), NOW, LONG)
    other = sqlite3.connect(tmp_path / "journal.db", timeout=0.2)
    other.execute("UPDATE leases SET expires_at = expires_at")
    other.commit()
    other.close()
    assert journal.acquire("shop", this_process(), NOW, LONG).token == lease.token
    assert interruption.tb is not None
    journal.close()
