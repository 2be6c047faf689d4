"""What holds for every test."""

import pytest


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake API server may be asked as fast as it answers."""
    monkeypatch.setattr("deployments.cluster.pace.BURST", 1_000_000)
