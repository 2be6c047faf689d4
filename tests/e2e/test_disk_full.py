"""A disk that fills up while a release is under way: it says so, nothing is lost, and the same release completes."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import SPEC, Seatrial, Shop, seatrial_in
from tests.e2e.traffic import Traffic
from tests.e2e.under_way import UnderWay, of_home, running_in_mlflow, whole

pytestmark = [
    pytest.mark.platform,
    pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system, which only root may"),
]
FULL = "no space left while writing "


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """A file system of its own at `place`, which hides what was there."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(shutil.which("mount")), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run([str(shutil.which("umount")), "--lazy", str(place)], check=True)


@pytest.mark.parametrize(
    ("folder", "stage"),
    [
        ("snapshots/{product}", "ingest"),
        ("mlflow/artifacts/{product}", "train"),
        pytest.param("candidates", "evaluate", marks=pytest.mark.crash),
    ],
)
def test_a_full_folder_is_named_and_the_release_completes_once_there_is_room(
    seatrial: Seatrial, shop: Shop, folder: str, stage: str
) -> None:
    shop.write()
    assert seatrial.run("release", str(shop.file)).returncode == 0
    place = seatrial.home / folder.format(product=shop.name)
    with Traffic(seatrial, shop.name) as traffic:
        with small_disk(place, "4k"):
            refused = seatrial.run("release", str(shop.file))
        assert refused.returncode == 1, refused.stderr
        assert "no space left" in refused.stderr
        assert str(place) in refused.stderr
        assert whole(seatrial, shop.name) == 1
        assert running_in_mlflow(seatrial) == []
        assert seatrial.told("release", str(shop.file))["version"] == 2
    assert traffic.failures == []
    assert whole(seatrial, shop.name) == 2


@pytest.mark.crash  # it tries for a minute to put the champion back
@pytest.mark.parametrize("stage", ["launch", "train"])
def test_a_process_that_can_write_nothing_more_leaves_traffic_and_records_as_they_were(
    seatrial: Seatrial, shop: Shop, stage: str
) -> None:
    shop.write()
    assert seatrial.run("release", str(shop.file)).returncode == 0
    with Traffic(seatrial, shop.name) as traffic:
        release = UnderWay(seatrial, "release", shop.file).wait_for(stage)
        resource.prlimit(release.flow_process().pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        assert release.end() in {1, 5}, release.said
        assert "no space left" in release.said
        assert "Traceback" not in release.said
        again = seatrial.told("release", str(shop.file))
    assert traffic.failures == []
    assert whole(seatrial, shop.name) == again["version"]
    assert running_in_mlflow(seatrial) == []


@pytest.fixture
def cramped() -> Iterator[Seatrial]:
    """A home on a disk of 24 MB, nothing up."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    platform = seatrial_in(folder)
    with small_disk(platform.home, "24m"):
        try:
            yield platform
        finally:
            platform.run("down")
            for process in of_home(platform):
                process.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.crash
def test_with_everything_on_one_full_disk_the_champion_serves_and_all_is_readable(
    cramped: Seatrial, tmp_path: Path
) -> None:
    shop = Shop("shop", tmp_path, SPEC).write()
    first = cramped.run("release", str(shop.file))
    assert first.returncode == 0, first.stderr
    ballast = cramped.home / "ballast"
    with Traffic(cramped, "shop") as traffic:
        _fill(ballast, cramped.home)
        refused = cramped.run("release", str(shop.file))
        assert refused.returncode == 1, refused.stderr
        assert "no space left" in refused.stderr
        assert cramped.product("shop")["traffic"] == {"1": 100}
        assert cramped.told("history", "shop")
        ballast.unlink()
        again = cramped.told("release", str(shop.file))
    assert traffic.failures == []
    assert whole(cramped, "shop") == again["version"]


def _fill(ballast: Path, disk: Path) -> None:
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free)
