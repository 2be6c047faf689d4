"""The log takes no more than it may, and no more of a disk than can be spared; its oldest parts give way."""

import os
import threading
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from deployments.clock import ManualClock, SystemClock
from deployments.errors import DiskFull
from deployments.inference_log_reader import answers_between, newest_answers, part_path, part_sizes
from deployments.serving.inference_log import Bounds, InferenceLog, LogOptions, recording
from deployments.serving.inference_log.arrow_table import Tables
from deployments.serving.inference_log.buffer import Reason
from deployments.serving.inference_log.part_store import Parts, Store, store_of
from deployments.serving.inference_log.retention import Space, TooLarge
from deployments.serving.inference_log.writer_thread import Recorder
from tests.advice import followed
from tests.fakes.object_store import object_store
from tests.unit.deployments.serving.inference_log.answered import logged
from tests.unit.deployments.serving.inference_log.test_arrow_table import FLIGHTS

KIB = 1024
DAY = date(2026, 3, 1)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    with object_store("logs") as environment:
        yield dict(environment)


@pytest.fixture(params=["here", "memory", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "here":
        yield str(tmp_path / "log")
    elif request.param == "object store":
        for name, value in request.getfixturevalue("bucket").items():
            monkeypatch.setenv(name, value)
        yield f"s3://logs/{tmp_path.name}"
    else:
        import fsspec

        yield f"memory://{tmp_path.name}/log"
        fsspec.filesystem("memory").store.clear()


def put(
    store: Store, name: str, days: int = 0, version: int = 3, product: str = "flights", size: int = 8 * KIB
) -> None:
    """One more part, of so many days later."""
    path = part_path(product, str(version), DAY + timedelta(days=days), f"part-{name}.parquet")
    store.keep(path, memoryview(bytes(size)))


def names(store: Store, product: str = "flights") -> list[str]:
    return sorted(part.path.rpartition("part-")[2].removesuffix(".parquet") for part in store.stored(product))


def space(store: Store, most: int, log: InferenceLog | None = None, clock: ManualClock | None = None) -> Space:
    return Space(store, "flights", most, log or InferenceLog(), clock or ManualClock(datetime(2026, 3, 1, tzinfo=UTC)))


def test_the_oldest_days_of_all_versions_go_and_no_other_product_or_file(folder: str) -> None:
    store, log = store_of(folder), InferenceLog()
    for days in range(8):
        put(store, f"a{days}", days, version=days % 2)
    put(store, "other", product="delays")
    if "://" not in folder:
        (Path(folder) / "product=flights/mine.parquet").write_bytes(bytes(90 * KIB))
    space(store, 64 * KIB, log).make(8 * KIB)
    assert names(store) == ["a3", "a4", "a5", "a6", "a7"]
    assert names(store, "delays") == ["other"]
    assert (log.removed_parts, log.removed_bytes, log.stored_bytes) == (3, 24 * KIB, 40 * KIB)
    if "://" not in folder:
        assert (Path(folder) / "product=flights/mine.parquet").exists()
        assert not (Path(folder) / "product=flights/version=0/date=2026-03-01").exists()


def test_of_one_day_those_go_that_were_written_first(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    for moment, name in enumerate("zyxwvuts"):
        put(store, name)
        os.utime(next(tmp_path.rglob(f"part-{name}.parquet")), (moment, moment))
    space(store, 64 * KIB).make(8 * KIB)
    assert names(store) == ["s", "t", "u", "v", "w"]


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power here, and disks are slow."""
    monkeypatch.setattr("deployments.atomic_files.os.fsync", lambda _: None)


@pytest.mark.usefixtures("no_sync")
@pytest.mark.parametrize("folder", ["here", "memory"], indirect=True)
@pytest.mark.parametrize("servers", [1, 4])
def test_servers_that_write_to_one_place_never_take_more_than_is_allowed(folder: str, servers: int) -> None:
    most, size = 1024 * KIB, 16 * KIB
    writers = [(store_of(folder), space(store_of(folder), most)) for _ in range(servers)]
    largest = 0
    for number in range(160 // servers):
        for which, (store, room) in enumerate(writers):
            room.make(size)
            put(store, f"{which}-{number:04}", size=size)
            room.took(size)
            largest = max(largest, sum(part.size for part in store.stored("flights")))
    assert most // 2 < largest <= most
    kept = names(writers[0][0])
    assert kept[-1].startswith(f"{servers - 1}-") and len(kept) * size > most // 2, "most of it is used"


@pytest.mark.usefixtures("no_sync")
def test_servers_in_threads_of_their_own_that_remove_at_once_do_not_mind(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    for number in range(300):
        put(store, f"old-{number:03}", size=4 * KIB)
    counted = [InferenceLog() for _ in range(4)]
    start, failed = threading.Barrier(4), []

    def make(log: InferenceLog) -> None:
        room = space(store_of(str(tmp_path)), 256 * KIB, log)
        start.wait(30)
        try:
            room.make(4 * KIB)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=make, args=(log,)) for log in counted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    left = len(store.stored("flights"))
    assert 300 - left == sum(log.removed_parts for log in counted)
    assert 0 < left * 4 * KIB <= 256 * KIB


def test_a_disk_keeps_what_the_log_leaves_to_others_and_the_log_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, log = store_of(str(tmp_path)), InferenceLog()
    for days in range(8):
        put(store, f"a{days}", days)
    room = space(store, 1024**3, log)

    def usage(_: object) -> Usage:
        taken = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
        return Usage(1000 * KIB, 0, 140 * KIB - taken)  # a tenth of it is to stay free

    monkeypatch.setattr(part_sizes.shutil, "disk_usage", usage)
    room.make(8 * KIB)
    assert names(store) == ["a4", "a5", "a6", "a7"]
    monkeypatch.setattr(part_sizes.shutil, "disk_usage", lambda _: Usage(1000 * KIB, 0, 20 * KIB))
    with pytest.raises(DiskFull, match=followed("the disk has less room than the log leaves to others: free some")):
        room.make(8 * KIB)
    assert log.removed_parts == 8
    monkeypatch.setattr(part_sizes.shutil, "disk_usage", lambda _: Usage(1000 * KIB, 0, 500 * KIB))
    room.make(8 * KIB)


@pytest.mark.parametrize(
    ("total", "free", "missing"),
    [(100 * 1024**3, 1024**3, 0), (100 * 1024**3, 1024**3 - 7, 7), (1000, 100, 0), (1000, 93, 7), (0, 0, 0)],
)
def test_a_gibibyte_stays_free_and_of_a_small_disk_a_tenth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, free: int, missing: int
) -> None:
    monkeypatch.setattr(part_sizes.shutil, "disk_usage", lambda _: Usage(total, 0, free))
    assert part_sizes.missing_bytes(tmp_path / "not" / "there" / "yet") == missing


def test_a_part_that_would_be_most_of_the_log_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        space(store_of(str(tmp_path)), 64 * KIB).make(17 * KIB)


class Blind:
    """May be written to, and not listed."""

    seldom = timedelta(hours=1)

    def stored(self, product: str) -> list[part_sizes.StoredPart]:
        raise PermissionError(product)

    def lacks(self) -> int:
        return 0


def test_a_store_that_nobody_may_list_takes_what_one_server_may_write(caplog: pytest.LogCaptureFixture) -> None:
    room = space(Blind(), 64 * KIB)  # type: ignore[arg-type]
    for _ in range(8):
        room.make(8 * KIB)
        room.took(8 * KIB)
    with pytest.raises(PermissionError):
        room.make(8 * KIB)
    assert caplog.messages == ["size of the inference log is not known"]


def test_all_is_looked_at_seldom(tmp_path: Path) -> None:
    looks: list[str] = []
    store = store_of(str(tmp_path))

    class Watched:
        seldom = timedelta(hours=1)

        def stored(self, product: str) -> list[part_sizes.StoredPart]:
            looks.append(product)
            return store.stored(product)

        def lacks(self) -> int:
            return 0

    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    room = space(Watched(), 1024**3, clock=clock)  # type: ignore[arg-type]
    for _ in range(1000):
        room.make(8 * KIB)
        room.took(8 * KIB)
        clock.advance(timedelta(seconds=10))
    assert len(looks) == 3


def random_text(number: int) -> str:
    return np.random.default_rng(number).bytes(8 * KIB).hex()


@pytest.mark.usefixtures("no_sync")
def test_a_client_that_writes_without_end_leaves_a_log_within_its_bounds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "seatrial.serving")
    clock, most = ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), 1024 * KIB
    log = InferenceLog(bounds=Bounds(rate=1024**3))
    store = store_of(str(tmp_path))
    parts = Parts(store, "flights", "3", "e", Space(store, "flights", most, log, clock))
    recorder = Recorder(log, Tables(FLIGHTS), parts, timedelta(seconds=10), clock, most // 16)
    for number in range(400):
        row = (1.0, 2.0, random_text(number))
        log.record(logged(str(number), (row,), answered=clock.monotonic(), body_bytes=20 * KIB))
        clock.advance(timedelta(seconds=0.25))
        recorder.step()
        assert sum(part.size for part in store.stored("flights")) <= most
    recorder.flush()
    assert (log.written_rows, sum(log.dropped.values())) == (400, 0)
    assert log.removed_parts > 0
    assert caplog.messages == ["inference log gives way"], "told once"
    table = answers_between(
        str(tmp_path), "flights", 3, datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    )
    kept = sorted(map(int, table.column("request_id").to_pylist()))
    assert kept == list(range(400 - len(kept), 400)), "the newest"


def test_one_answer_larger_than_the_log_is_dropped_and_counted_and_takes_no_other_along(tmp_path: Path) -> None:
    with recording(LogOptions(str(tmp_path), size=2048 * KIB), FLIGHTS, "3", "e", SystemClock()) as log:
        now = SystemClock().monotonic()
        text = "".join(map(random_text, range(70)))
        log.record(logged("small", answered=now))
        log.record(logged("large", ((1.0, 2.0, text),), answered=now, body_bytes=len(text)))
        log.record(logged("small", answered=now))
    assert log.dropped[Reason.TOO_LARGE] == 1
    assert log.written_rows == 2


def test_who_reads_while_parts_give_way_reads_what_is_left(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part goes after it was listed and before it is read."""
    from deployments.inference_log_reader import last_answer_by_user, reader

    store, tables = store_of(folder), Tables(FLIGHTS)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for name in "ab":
        parts = Parts(store, "flights", "3", name)
        for day, block in tables.blocks([logged(name, key=b"ann", answered=0.0)], noon.timestamp()):
            parts.write(day, tables.table([block]))
    listed, left = reader.parts_of, ["a"]

    def listed_and_gone(*arguments: object) -> object:
        found = listed(*arguments)  # type: ignore[arg-type]
        for part in store.stored("flights"):
            if left and f"part-{left[0]}" in part.path:
                store.remove(part)
                left.clear()
                break
        return found

    for module in (reader, last_answer_by_user):
        monkeypatch.setattr(module, "parts_of", listed_and_gone)
    later = noon + timedelta(hours=1)
    assert answers_between(folder, "flights", 3, noon, later).column("request_id").to_pylist() == ["b"]
    left.append("b")
    assert newest_answers(folder, "flights", [("ann", later)], timedelta(hours=2)) == [None]


def test_a_reader_that_has_a_part_open_reads_it_to_its_end(tmp_path: Path) -> None:
    store = store_of(str(tmp_path))
    put(store, "a", size=64 * KIB)
    [part] = store.stored("flights")
    with pa.OSFile(part.path) as file:
        assert store.remove(part)
        assert len(file.read()) == 64 * KIB
    assert not store.remove(part)
