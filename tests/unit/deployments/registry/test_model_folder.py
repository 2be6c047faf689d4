import errno
import os
from pathlib import Path

import pytest

from deployments.errors import BadArtifact, DiskFull
from deployments.model_manifest import MANIFEST, check_intact, manifest_of
from deployments.registry.model_folder import keep_model_folder, size_mb

CONTENT = {"model/MLmodel": "a", "verification.json": "b"}


def fill(folder: Path) -> None:
    for path, text in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.fixture
def manifest(tmp_path: Path) -> dict[str, str]:
    fill(tmp_path / "source")
    return manifest_of(tmp_path / "source")


def test_the_manifest_lists_every_file_but_itself(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / MANIFEST).write_text("{}")

    assert manifest_of(tmp_path) == {
        "model/MLmodel": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "verification.json": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
    }


def test_an_intact_folder_passes(tmp_path: Path, manifest: dict[str, str]) -> None:
    check_intact(tmp_path / "source", manifest)


def test_a_failing_fill_leaves_what_was_there_and_no_scraps(tmp_path: Path, manifest: dict[str, str]) -> None:
    place = tmp_path / "models" / "v1"
    keep_model_folder(place, manifest, fill)
    (place / "model" / "MLmodel").write_text("damaged")

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskFull, match="no space left while writing"):
        keep_model_folder(place, manifest, full)

    assert (place / "model" / "MLmodel").read_text() == "damaged"
    assert [each.name for each in place.parent.iterdir()] == ["v1"]


def test_a_folder_whose_manifest_was_edited_is_made_anew(tmp_path: Path, manifest: dict[str, str]) -> None:
    place = keep_model_folder(tmp_path / "v1", manifest, fill)
    (place / MANIFEST).write_text("{}")

    keep_model_folder(place, manifest, fill)

    assert (place / MANIFEST).read_text() != "{}"


def test_a_wrong_fill_never_appears(tmp_path: Path, manifest: dict[str, str]) -> None:
    with pytest.raises(BadArtifact, match=r"model/MLmodel .* is missing"):
        keep_model_folder(tmp_path / "v1", manifest, lambda folder: None)

    assert not (tmp_path / "v1").exists()


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"x" * 1_500_000)
    (tmp_path / "b").write_bytes(b"x" * 500_000)

    assert size_mb(tmp_path) == 2.0
