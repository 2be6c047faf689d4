"""What the platform's processes are told."""

from pathlib import Path

import pytest

from deployments.platform.addresses import Addresses
from deployments.platform.environment import environment
from deployments.settings import Settings


def test_settings_that_were_given_reach_every_process_as_they_were_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "SEATRIAL_HOME": str(tmp_path),
        "SEATRIAL_TRACKING_URI": "http://127.0.0.1:1234",
        "SEATRIAL_TRUSTED_TYPES": '["mine.Model"]',
        "SEATRIAL_TRAINING_JOBS": "3",
        "SEATRIAL_WARM": "false",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    for name, value in environment(settings, Addresses("127.0.0.1")).items():
        monkeypatch.setenv(name, value)
    again = Settings()
    assert again.model_dump() == settings.model_copy(update={"project": again.project}).model_dump()


def test_without_a_server_prefect_may_start_one_of_its_own_and_with_one_it_may_not(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    alone = environment(settings, Addresses("127.0.0.1"))
    assert alone["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "true"
    assert "PREFECT_API_URL" not in alone
    together = environment(settings, Addresses("127.0.0.1", prefect=4321))
    assert together["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert together["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
