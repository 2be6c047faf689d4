"""What an init container runs: a version in a folder, proved, or an exit code that says why not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.model_manifest import check_intact, manifest_of
from deployments.registry import ModelRegistry
from deployments.registry.mlflow_client import connect
from deployments.registry.storage_initializer import main
from deployments.settings import Settings, current
from tests.unit.deployments.registry.a_registry import registered
from tests.unit.deployments.registry.test_mlflow_registry import settings

__all__ = ["settings"]


@pytest.fixture(autouse=True)
def of_this_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SEATRIAL_TRACKING_URI", settings.mlflow_uri)
    monkeypatch.setenv("SEATRIAL_KEYS", str(settings.keys_folder))
    current.cache_clear()
    yield
    current.cache_clear()


def fetch(into: Path, version: int = 1) -> int:
    return main(["--product", "flights", "--version", str(version), "--into", str(into)])


def test_the_folder_that_is_printed_holds_exactly_the_registered_files(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = registered(ModelRegistry(settings.mlflow_uri, settings.keys_folder), settings)
    assert fetch(tmp_path / "models") == 0
    folder = tmp_path / "models" / "flights" / "v1"
    assert capsys.readouterr().out == f"{folder}\n"
    check_intact(folder, version.facts.manifest)
    assert manifest_of(folder)


def test_a_byte_that_differs_from_the_manifest_ends_it_with_2_and_leaves_nothing(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = registered(ModelRegistry(settings.mlflow_uri, settings.keys_folder), settings)
    source = Path(version.model_uri.removeprefix("file://"))
    (source / "model.skops").write_text("Weights")
    assert fetch(tmp_path / "models") == 2
    assert "model/model.skops" in capsys.readouterr().err
    assert not (tmp_path / "models" / "flights" / "v1").exists()


def test_an_unknown_version_ends_it_with_2(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(settings.mlflow_uri)
    assert fetch(tmp_path / "models", version=7) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_registry_that_does_not_answer_ends_it_with_5_so_that_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_TRACKING_URI", f"sqlite:///{tmp_path}")
    current.cache_clear()
    assert fetch(tmp_path / "models") == 5


def test_its_help_needs_no_mlflow() -> None:
    program = (
        "import sys, runpy; sys.argv = ['fetching', '--help']\n"
        "try: runpy.run_module('deployments.registry.storage_initializer', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('mlflow' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "False"
