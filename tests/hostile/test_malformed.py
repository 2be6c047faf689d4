"""Malformed bodies, and bytes that are no HTTP: nothing falls, nothing leaks, everybody else is served."""

from pathlib import Path

import pytest

from tests.hostile.bodies import SECRETS
from tests.hostile.served import Served, seconds_of, serving
from tests.hostile.storm import storm

# One body may have 8 MiB, and what is made of it takes some hundred for a moment.
MOST_MIB = 700


def weather(served: Served, seconds: float, seed: int) -> None:
    before = served.memory_mib
    told = storm(served, seconds, seed)
    print(f"\nseed {seed}, {seconds:.0f} s, {told.looks} looks\n{told}")
    print(f"memory {before:.0f} MiB before, {served.memory_mib:.0f} after, at most {served.peak_mib:.0f}")
    assert not told.wrong, "\n".join(told.wrong)
    assert {"200", "400", "413", "415", "422"} <= told.answered.keys()
    said = served.said()
    assert not [secret for secret in SECRETS if secret.decode() in said]
    assert "request failed" not in said and "Traceback" not in said
    assert len(said.splitlines()) < 20, "what strangers send does not fill the log"
    assert served.peak_mib < before + MOST_MIB


def test_a_storm_of_malformed_requests_is_weathered(model: Path, tmp_path: Path) -> None:
    with serving(model, "--max-seconds", "5", "--log-folder", str(tmp_path)) as served:
        weather(served, 8, seed=7)


@pytest.mark.hostile
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_an_hour_of_it_is_weathered(seed: int, model: Path, tmp_path: Path) -> None:
    with serving(model, "--log-folder", str(tmp_path)) as served:
        weather(served, seconds_of(1_200), seed)
