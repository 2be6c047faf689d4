from pathlib import Path

import pytest

from deployments.local_platform.addresses import Addresses
from deployments.local_platform.services import mlflow_server
from deployments.settings import Settings


def test_the_password_of_mlflows_database_is_on_no_command_line(tmp_path: Path) -> None:
    uri = "postgresql://ann:hunter2@db.example/mlflow"
    program = mlflow_server(Settings(home=tmp_path, tracking_uri=uri), Addresses("127.0.0.1", mlflow=5000))
    assert "hunter2" not in " ".join(program.command)
    assert program.environment["MLFLOW_BACKEND_STORE_URI"] == uri


@pytest.mark.parametrize(
    ("uri", "own"),
    [
        (None, True),
        ("postgresql://db.example/mlflow", True),
        ("http://127.0.0.1:5000", False),
        ("https://mlflow.example", False),
    ],
)
def test_a_tracking_server_brings_its_own_pages(tmp_path: Path, uri: str | None, own: bool) -> None:
    assert Settings(home=tmp_path, tracking_uri=uri).has_own_mlflow is own


def test_the_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = Settings(home=home).run_folder
    assert (home.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o700, 0o700)
