"""What the platform's processes are told."""

from pathlib import Path

import pytest

from deployments.key_files import known_key
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.environment import environment, environment_with_password
from deployments.local_platform.services import (
    control_service,
    mlflow_server,
    prefect_server,
    prefect_worker,
    warm_process,
)
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


def test_the_password_goes_to_this_platforms_prefect_and_to_no_other(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    alone = environment_with_password(settings, Addresses("127.0.0.1"))
    assert "PREFECT_API_AUTH_STRING" not in alone, "whoever has a Prefect elsewhere does not send it our password"
    together = environment_with_password(settings, Addresses("127.0.0.1", prefect=4321))
    password = known_key(settings.keys_folder, "prefect").decode()
    assert together["PREFECT_API_AUTH_STRING"] == f"seatrial:{password}"


def test_no_definition_of_a_program_holds_a_secret_of_the_platform(tmp_path: Path) -> None:
    settings, addresses = Settings(home=tmp_path), Addresses("127.0.0.1", prefect=4321, mlflow=4322)
    password = environment_with_password(settings, addresses)["PREFECT_API_AUTH_STRING"].partition(":")[2]
    for make in (prefect_server, prefect_worker, warm_process, control_service, mlflow_server):
        program = make(settings, addresses)
        assert password not in " ".join((*program.command, *program.environment.values()))
