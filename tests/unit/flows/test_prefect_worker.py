"""The worker's temporary files are in a folder of its own."""

import stat
from pathlib import Path

import pytest

from deployments.errors import BadInput
from deployments.settings import Settings
from flows.entrypoints.runner.prefect_worker import temporary_folder
from tests.advice import followed


def test_a_folder_that_somebody_else_has_put_there_is_not_used(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    place = settings.run_folder / "tmp"
    place.symlink_to(tmp_path)

    with pytest.raises(
        BadInput, match=followed("remove what stands there", "flows/entrypoints/runner/prefect_worker.py")
    ):
        temporary_folder(settings)
    place.unlink()

    assert temporary_folder(settings) == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
