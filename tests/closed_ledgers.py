"""Ledgers of feedback that the wiring opens for as long as its process lives, and a test for as long as it runs."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from deployments.metrics.feedback import store


@contextmanager
def closed_ledgers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes at its end whatever ledger was opened in it."""
    with ExitStack() as opened, monkeypatch.context() as patched:
        real = store.FeedbackLedger
        patched.setattr(store, "FeedbackLedger", lambda url: opened.enter_context(closing(real(url))))
        yield
