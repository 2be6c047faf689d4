"""On a full disk logs give way, and nothing else does."""

import os
from collections import namedtuple
from pathlib import Path

import pytest

from deployments.local_platform import disk_reclaim
from deployments.local_platform.disk_reclaim import make_room
from deployments.settings import Settings

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path, project=tmp_path)
    made.logs.mkdir(parents=True)
    for age, name in enumerate(("gateway.log.1", "warm.log.2", "gateway.log", "warm.log")):
        path = made.logs / name
        path.write_bytes(b"x" * (100 + age))
        os.utime(path, (1_000 - age, 1_000 - age))
    (tmp_path / "journal.db").write_bytes(b"kept")
    return made


def sizes(settings: Settings) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in settings.logs.iterdir()}


def test_where_there_is_room_every_log_stays(settings: Settings) -> None:
    before = sizes(settings)
    assert make_room(settings) == 0
    assert sizes(settings) == before


def test_the_oldest_go_first_and_only_as_many_as_are_in_the_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([0, 10**9])
    monkeypatch.setattr(disk_reclaim.shutil, "disk_usage", lambda _: Usage(10**9, 0, next(free)))
    assert make_room(settings) == 101
    assert set(sizes(settings)) == {"gateway.log.1", "gateway.log", "warm.log"}


def test_at_worst_all_logs_are_empty_and_records_are_whole(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_reclaim.shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 0))
    assert make_room(settings) == 406
    assert sizes(settings) == {"gateway.log": 0, "warm.log": 0}
    assert (settings.home / "journal.db").read_bytes() == b"kept"


def test_where_logs_of_programs_are_not_enough_the_oldest_answers_give_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2, 3):
        part = settings.inference_log / f"product=flights/version=3/date=2026-03-0{day}/part-e-000001.parquet"
        part.parent.mkdir(parents=True)
        part.write_bytes(bytes(4096))

    def usage(_: object) -> Usage:
        return Usage(10**9, 0, 10**9 if len(left()) < 2 else 0)

    def left() -> list[str]:
        return sorted(path.parent.name for path in settings.inference_log.rglob("*.parquet"))

    monkeypatch.setattr(disk_reclaim.shutil, "disk_usage", usage)
    assert make_room(settings) == 406 + 2 * 4096
    assert left() == ["date=2026-03-03"]
