"""What holds for every test."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from deployments.database import Database
from deployments.settings import current

# The same examples in every run, however slow the machine is. `--hypothesis-profile=exploring` looks for new ones.
settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "exploring", deadline=None, derandomize=False, suppress_health_check=[HealthCheck.too_slow]
)  # said, for Hypothesis repeats itself where CI is set
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every", type=int, default=1, metavar="N", help="run one of N tests: a sample of all modules")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = items[:: config.getoption("--every")]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake API server may be asked as fast as it answers."""
    monkeypatch.setattr("deployments.cluster.rate_limit.BURST", 1_000_000)


@pytest.fixture(autouse=True)
def settings_of_its_own() -> Iterator[None]:
    """No test finds the settings that another one has read."""
    current.cache_clear()
    yield
    current.cache_clear()


@pytest.fixture(autouse=True)
def databases_let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The connections of each database that a test opens are closed after it; whoever uses it later gets new ones."""
    opened: list[Database] = []
    whole = Database.__init__

    def init(database: Database, *given: Any, **more: Any) -> None:
        whole(database, *given, **more)
        opened.append(database)

    monkeypatch.setattr(Database, "__init__", init)
    yield
    for each in opened:
        each.close()
