"""`seatrial image`: a version's model in an image, with its digest in the journal and in the registry."""

import json
from pathlib import Path

import pytest

from flows.reports.history import history_report
from tests.unit.deployments.test_container_images import BUILDAH, install, path
from tests.unit.flows.conftest import Seatrial
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

__all__ = ["path"]


def test_the_digest_is_printed_and_recorded_in_the_journal_and_in_the_registry(
    world: World, seatrial: Seatrial, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(path, "buildah", BUILDAH)
    assert seatrial("image", PRODUCT, "1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "product": PRODUCT, "version": 1, "image": "seatrial-bikes:v1", "digest": "sha256:here", "pushed": False
    }  # fmt: skip
    assert world.registry.get(PRODUCT, 1).image == "seatrial-bikes:v1@sha256:here"
    event = history_report(world.journal, PRODUCT, 1)[0]
    assert (event["event"], event["version"], event["digest"]) == ("image.built", 1, "sha256:here")


def test_a_pushed_image_is_recorded_with_the_digest_that_can_be_pulled(
    world: World, seatrial: Seatrial, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(path, "buildah", BUILDAH)
    assert seatrial("image", PRODUCT, "1", "--tag", "host.example/bikes:v1", "--push") == 0
    assert capsys.readouterr().out == "bikes v1 is in the registry as host.example/bikes:v1@sha256:there\n"
    assert world.registry.get(PRODUCT, 1).image == "host.example/bikes:v1@sha256:there"


def test_without_a_builder_it_ends_with_2_and_records_nothing(
    world: World, seatrial: Seatrial, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seatrial("image", PRODUCT, "1") == 2
    assert "neither buildah nor docker" in capsys.readouterr().err
    assert world.registry.get(PRODUCT, 1).image is None


def test_a_failed_build_ends_with_1_and_records_nothing(
    world: World, seatrial: Seatrial, path: Path, tmp_path: Path
) -> None:
    install(path, "buildah", BUILDAH)
    (tmp_path / "broken").touch()
    assert seatrial("image", PRODUCT, "1") == 1
    assert world.registry.get(PRODUCT, 1).image is None
    assert history_report(world.journal, PRODUCT, 1)[0]["event"] != "image.built"


def test_an_unknown_version_ends_with_2(world: World, seatrial: Seatrial, path: Path) -> None:
    install(path, "buildah", BUILDAH)
    assert seatrial("image", PRODUCT, "9") == 2
