"""Registries that somebody else may write to."""

import shutil
from pathlib import Path

import pytest

from deployments.settings import Settings
from tests.unit.deployments.registry.attacked_registry import Mlflow, evil, planted
from tests.unit.tasks.models.real_mlflow import settings_in


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Mlflow:
    """To be copied; the files of its runs stay where they are, and are not for tests to change."""
    return Mlflow(settings_in(tmp_path_factory.mktemp("template")))


@pytest.fixture
def mlflow(template: Mlflow, tmp_path: Path) -> Mlflow:
    shutil.copytree(template.settings.home, tmp_path / "home")
    return Mlflow(Settings(home=tmp_path / "home", project=tmp_path), template.made)


@pytest.fixture
def with_files(tmp_path: Path) -> Mlflow:
    """One with files of its own."""
    return Mlflow(settings_in(tmp_path))


@pytest.fixture
def version(mlflow: Mlflow, tmp_path: Path) -> int:
    return planted(mlflow, evil(tmp_path / "evil", tmp_path / "marker"))
