import os
import sqlite3
import time
import traceback
from pathlib import Path

import pytest

from deployments.errors import BadInput, DiskFull, NotFound, RegistryUnreachable
from deployments.registry import ModelRegistry
from deployments.registry.mlflow_client import artifact_root, connect, database_of, prepare_mlflow, translated_errors
from tests.unit.tasks.models.real_mlflow import settings_in


def test_a_database_that_cannot_be_opened_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow itself retries for 100 seconds."""
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"it waited {seconds} s"))

    with pytest.raises(RegistryUnreachable, match="unable to open database file"):
        connect(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("garbage" * 1000)

    with pytest.raises(RegistryUnreachable, match="file is not a database"):
        connect(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_server_that_is_down_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(RegistryUnreachable, match=r"http://127\.0\.0\.1:9 does not answer"):
        ModelRegistry("http://127.0.0.1:9", tmp_path).get("flights", 1)


def test_a_password_in_the_address_is_in_no_error_and_no_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    password = "hunter2"  # noqa: S105 - nobody's

    with pytest.raises(RegistryUnreachable, match=r"http://\*\*\*@127\.0\.0\.1:9 does not answer") as caught:
        ModelRegistry(f"http://ann:{password}@127.0.0.1:9", tmp_path).get("flights", 1)

    assert password not in "".join(traceback.format_exception(caught.value))


def test_a_database_without_its_driver_says_what_to_install() -> None:
    with pytest.raises(BadInput, match="needs the package MySQLdb: install it"):
        connect("mysql://ann:hunter2@127.0.0.1:9/mlflow")


def test_a_full_database_is_disk_full(tmp_path: Path) -> None:
    """SQLite itself says so when a database may have no more pages."""
    with pytest.raises(DiskFull, match="free some room"), translated_errors("sqlite:///mlflow.db"):
        connection = sqlite3.connect(tmp_path / "small.db")
        try:
            connection.execute("PRAGMA max_page_count = 2")
            connection.execute("CREATE TABLE large AS SELECT zeroblob(100000)")
        finally:
            connection.close()


def test_mlflow_refusals_and_unknown_things_are_told_apart(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    client = connect(settings.mlflow_uri)

    with pytest.raises(NotFound, match="trains"), translated_errors(settings.mlflow_uri):
        client.get_registered_model("trains")
    with pytest.raises(BadInput, match="INVALID_PARAMETER_VALUE"), translated_errors(settings.mlflow_uri):
        client.create_registered_model("no/slashes")


def test_an_error_of_ours_or_a_bug_passes_unchanged() -> None:
    with pytest.raises(NotFound, match="mine"), translated_errors("sqlite:///x.db"):
        raise NotFound("mine")
    with pytest.raises(ZeroDivisionError), translated_errors("sqlite:///x.db"):
        _ = 1 / 0


def test_files_lie_beside_the_database_and_a_server_decides_itself(tmp_path: Path) -> None:
    assert artifact_root(f"sqlite:///{tmp_path}/mlflow/mlflow.db") == (tmp_path / "mlflow" / "artifacts").as_uri()
    assert artifact_root("http://127.0.0.1:5000") is database_of("http://127.0.0.1:5000") is None


def test_telemetry_is_off_and_what_the_operator_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")

    prepare_mlflow()

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
