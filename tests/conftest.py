"""What holds for every test."""

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, however slow the machine is. `--hypothesis-profile=exploring` looks for new ones.
settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "exploring", deadline=None, derandomize=False, suppress_health_check=[HealthCheck.too_slow]
)  # said, for Hypothesis repeats itself where CI is set
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake API server may be asked as fast as it answers."""
    monkeypatch.setattr("deployments.cluster.rate_limit.BURST", 1_000_000)
