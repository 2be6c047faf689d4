"""What is set aside while there is room is there when there is none."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.atomic_files import reserve_files, write_atomically, write_reserved
from deployments.errors import DiskFull
from deployments.journals.database import DatabaseJournal
from deployments.journals.protocol import Event
from deployments.process_identity import this_process

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system, which only root may")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        [str(shutil.which("mount")), "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run([str(shutil.which("umount")), "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free)
    return ballast


def test_a_file_is_replaced_on_a_full_disk_as_often_as_room_was_set_aside(small: Path) -> None:
    target = small / "routes.json"
    write_atomically(target, b"before")
    reserve_files(small, 2, 100_000)
    fill(small)
    with pytest.raises(DiskFull):
        write_atomically(target, b"x" * 50_000)
    assert target.read_bytes() == b"before"
    for content in (b"x" * 50_000, b"y" * 60_000):
        write_reserved(target, content, small, mode=0o600)
        assert target.read_bytes() == content
        assert target.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(small / "none", ignore_errors=True)
    fill(small)
    with pytest.raises(DiskFull, match=r"routes\.json"):
        write_reserved(target, b"z" * 70_000, small)
    assert target.read_bytes() == b"y" * 60_000


def test_room_that_was_used_or_has_become_too_small_is_set_aside_again(small: Path) -> None:
    reserve_files(small, 2, 1_000)
    reserve_files(small, 2, 100_000)
    ballast = fill(small)
    write_reserved(small / "a", b"x" * 90_000, small)
    reserve_files(small, 2, 100_000)
    ballast.unlink()
    reserve_files(small, 2, 100_000)
    fill(small)
    for name in ("b", "c"):
        write_reserved(small / name, b"x" * 90_000, small)


def test_the_journal_takes_decisions_on_a_full_disk_and_sets_room_aside_again(small: Path) -> None:
    journal = DatabaseJournal(f"sqlite:///{small / 'journal.db'}")

    def tell(count: int) -> None:
        for number in range(count):
            journal.acquire("shop", this_process(), NOW, timedelta(minutes=1))
            journal.record(Event("shop", f"run {number}", NOW, "rollout.judged", {"why": "x" * 2_000}))

    ballast = fill(small)
    tell(100)
    ballast.unlink()
    tell(1)
    fill(small)
    tell(100)
    assert len(journal.events("shop")) == 201
    journal.close()


def test_a_journal_that_has_used_up_its_reserve_says_so(small: Path) -> None:
    journal = DatabaseJournal(f"sqlite:///{small / 'journal.db'}")
    fill(small)
    with pytest.raises(DiskFull, match="the journal"):
        for _ in range(2_000):
            journal.record(Event("shop", "run", NOW, "rollout.judged", {"why": "x" * 2_000}))
    assert journal.events("shop")
    journal.close()
