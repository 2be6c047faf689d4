"""Answers become parts in time; a store that takes none costs nothing but rows, and is tried again."""

import errno
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from deployments.clock import ManualClock, SystemClock
from deployments.process_identity import this_process
from deployments.serving.inference_log import Bounds, InferenceLog, LogOptions, recording
from deployments.serving.inference_log.arrow_table import Tables
from deployments.serving.inference_log.buffer import Reason
from deployments.serving.inference_log.part_store import Parts, store_of
from deployments.serving.inference_log.writer_thread import Recorder
from tests.unit.deployments.serving.inference_log.answered import ROW, logged
from tests.unit.deployments.serving.inference_log.test_arrow_table import FLIGHTS

FLUSH = timedelta(seconds=10)


class FailingStore:
    """A store that keeps parts only while `error` is None."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.parts: dict[str, int] = {}
        self.tries = 0

    def keep(self, path: str, content: memoryview) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        import pyarrow as pa

        self.parts[path] = pq.read_table(pa.BufferReader(content)).num_rows

    def sweep(self) -> int:
        return 0


class Scene:
    def __init__(self, bounds: Bounds) -> None:
        self.clock = ManualClock(datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
        self.log = InferenceLog(bounds=bounds)
        self.store = FailingStore()
        parts = Parts(self.store, "flights", "3", "e")
        self.recorder = Recorder(self.log, Tables(FLIGHTS), parts, FLUSH, self.clock)

    def answer(self, rows: int = 1) -> None:
        self.log.record(logged("a", (ROW,) * rows, answered=self.clock.monotonic()))

    def pass_seconds(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.advance(timedelta(seconds=0.25))
            self.recorder.step()


@pytest.fixture
def scene() -> Scene:
    return Scene(Bounds(rows=1000))


def test_an_answer_is_in_a_part_before_it_is_as_old_as_the_interval(scene: Scene) -> None:
    scene.answer()
    scene.pass_seconds(5)
    scene.answer()
    assert scene.store.parts == {}
    scene.pass_seconds(4.75)
    assert scene.store.parts == {"product=flights/version=3/date=2026-03-01/part-e-000001.parquet": 2}
    scene.pass_seconds(60)
    assert len(scene.store.parts) == 1, "nothing to write, no part"


def test_many_rows_are_written_at_once(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    monkeypatch.setattr("deployments.serving.inference_log.writer_thread.PART_ROWS", 600)
    scene.answer(500)
    scene.pass_seconds(0.25)
    assert scene.store.parts == {}
    scene.answer(300)
    scene.pass_seconds(0.25)
    assert list(scene.store.parts.values()) == [800]


def test_days_have_parts_of_their_own(scene: Scene) -> None:
    scene.clock.advance(timedelta(seconds=58))
    scene.answer()
    scene.pass_seconds(4)
    scene.answer(2)
    scene.pass_seconds(10)
    assert scene.store.parts == {
        "product=flights/version=3/date=2026-03-01/part-e-000001.parquet": 1,
        "product=flights/version=3/date=2026-03-02/part-e-000002.parquet": 2,
    }


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Reason.DISK_FULL),
        (OSError(errno.EACCES, "Permission denied"), Reason.UNREACHABLE),
        (RuntimeError("bucket secret-bucket is away"), Reason.UNREACHABLE),
    ],
)
def test_an_outage_is_complained_of_once_and_drops_only_what_memory_cannot_hold(
    scene: Scene, caplog: pytest.LogCaptureFixture, error: Exception, reason: Reason
) -> None:
    scene.store.error = error
    caplog.set_level("INFO", "seatrial.serving")
    for _ in range(120):
        scene.answer(10)
        scene.pass_seconds(1)
    assert scene.log.dropped[reason] == 200
    assert scene.log.buffered == 1000
    assert scene.store.tries < 10, "ever more seldom"
    [complaint] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "secret-bucket" not in json.dumps(complaint.__dict__, default=str)
    scene.store.error = None
    scene.pass_seconds(61)
    assert sum(scene.store.parts.values()) == scene.log.written_rows == 1000
    assert scene.log.buffered == 0
    assert sum(scene.log.dropped.values()) == 200
    assert caplog.messages[-1] == "inference log is written again"
    scene.answer()
    scene.pass_seconds(10)
    assert scene.log.written_rows == 1001


def test_a_second_outage_is_complained_of_again(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        scene.store.error = OSError(errno.ENOSPC, "full")
        scene.answer()
        scene.pass_seconds(15)
        scene.store.error = None
        scene.pass_seconds(60)
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


def test_memory_of_small_tables_is_counted_too() -> None:
    scene = Scene(Bounds(memory_bytes=400_000))
    scene.store.error = OSError(errno.ENOSPC, "full")
    for _ in range(2000):
        scene.answer(1)
        scene.pass_seconds(0.25)
    assert scene.log.held_bytes <= 400_000
    assert scene.log.dropped[Reason.DISK_FULL] > 0


def test_one_answer_that_no_table_can_hold_takes_no_other_with_it(scene: Scene) -> None:
    scene.answer()
    scene.log.record(logged("odd", ((1.0, 2.0, "\ud800"),), answered=scene.clock.monotonic()))
    scene.answer()
    scene.pass_seconds(10)
    assert list(scene.store.parts.values()) == [2]
    assert scene.log.dropped[Reason.UNREADABLE] == 1
    assert scene.log.buffered == 0


@pytest.fixture(params=["a folder", "an fsspec URL", "file://"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param != "an fsspec URL":
        yield str(tmp_path / "log") if request.param == "a folder" else f"file://{tmp_path / 'log'}"
        return
    import fsspec

    yield f"memory://{tmp_path.name}/log"
    fsspec.filesystem("memory").store.clear()


def listed(folder: str) -> list[str]:
    import fsspec

    system, root = fsspec.url_to_fs(folder)
    return [path.removeprefix(f"{root}/") for path in system.find(root)]


def test_the_end_of_the_block_writes_all_that_was_answered(folder: str) -> None:
    options = LogOptions(folder)
    with recording(options, FLIGHTS, "3", "e", SystemClock()) as log:
        for name in "abc":
            log.record(logged(name, answered=SystemClock().monotonic()))
    [part] = listed(folder)
    assert part.endswith("/part-e-000001.parquet")
    assert (log.written_rows, log.buffered) == (3, 0)


def test_what_a_gone_server_left_unfinished_is_swept_and_what_a_live_one_writes_is_not(folder: str) -> None:
    import fsspec

    system, root = fsspec.url_to_fs(folder)
    store_of(folder).keep("product=flights/version=3/date=2026-03-01/part-x-000001.parquet", b"whole")
    gone, living = replace(this_process(), pid=2**22 + 7), this_process()
    for owner in (str(gone).replace(":", "@"), str(living).replace(":", "@"), "a stranger"):
        system.makedirs(f"{root}/.incoming/{owner}", exist_ok=True)
        system.pipe_file(f"{root}/.incoming/{owner}/part-y-000001.parquet.tmp", b"half")
    assert store_of(folder).sweep() == 1
    assert len(listed(folder)) == 3
    assert store_of(folder).sweep() == 0


def test_parts_are_for_their_owner_alone(tmp_path: Path) -> None:
    store_of(str(tmp_path)).keep("part-x-000001.parquet", b"")
    assert (tmp_path / "part-x-000001.parquet").stat().st_mode & 0o777 == 0o600


def test_a_store_that_hangs_keeps_no_server_from_ending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asleep = threading.Event()
    monkeypatch.setattr("deployments.serving.inference_log.part_store.Parts.write", lambda *_: asleep.wait(30))
    monkeypatch.setattr("deployments.serving.inference_log.writer_thread._FAREWELL_SECONDS", 0.2)
    with recording(LogOptions(str(tmp_path)), FLIGHTS, "3", "e", SystemClock()) as log:
        log.record(logged(answered=SystemClock().monotonic()))
    assert log.dropped[Reason.STOPPED] == 1
    asleep.set()
