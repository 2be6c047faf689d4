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


def test_prefect_never_starts_a_server_that_nobody_sees(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    alone = environment(settings, Addresses("127.0.0.1"))
    together = environment(settings, Addresses("127.0.0.1", prefect=4321))
    assert "PREFECT_API_URL" not in alone
    assert together["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert {each["PREFECT_SERVER_EPHEMERAL_ENABLED"] for each in (alone, together)} == {"false"}
