import pytest

from tests.unit.deployments.webhooks.deliveries import LibraryDatetime


@pytest.fixture(autouse=True)
def the_librarys_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the machine itself."""
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", LibraryDatetime)
