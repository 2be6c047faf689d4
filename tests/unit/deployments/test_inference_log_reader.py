"""Logs are read as the servers wrote them: by version and time, and by the users' keys."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from deployments.errors import BadInput
from deployments.inference_log_reader import (
    answers_between,
    check_location,
    check_reachable_by_fsspec,
    newest_answers,
    reader,
)
from deployments.serving.inference_log import Logged
from deployments.serving.inference_log.arrow_table import Masking, Tables
from deployments.serving.inference_log.part_store import Parts, store_of
from tests.fakes.object_store import object_store
from tests.unit.deployments.serving.inference_log.answered import ROW, logged
from tests.unit.deployments.serving.inference_log.test_arrow_table import FLIGHTS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
PLAIN = Masking()


@pytest.fixture(scope="module")
def store() -> Iterator[Mapping[str, str]]:
    with object_store("logs") as environment:
        yield environment


@pytest.fixture(params=["here", "elsewhere", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "here":
        yield str(tmp_path / "log")
        return
    if request.param == "object store":
        for name, value in request.getfixturevalue("store").items():
            monkeypatch.setenv(name, value)
        yield f"s3://logs/{tmp_path.name}"
        return
    import fsspec

    yield f"memory://{tmp_path.name}/log"
    fsspec.filesystem("memory").store.clear()


def write(folder: str, version: int, *answers: Logged, epoch: str = "e", masking: Masking = PLAIN) -> None:
    """One part a day; `answered` counts from noon."""
    parts = Parts(store_of(folder), "flights", str(version), epoch)
    tables = Tables(FLIGHTS, masking)
    for day, block in tables.blocks(answers, NOON.timestamp()):
        parts.write(day, tables.table([block]))


def test_a_window_begins_with_its_start_and_ends_before_its_end_over_days(folder: str) -> None:
    hours = (0, 6, 12, 18, 36)
    write(folder, 1, *(logged(str(hour), answered=hour * 3600.0) for hour in hours))
    table = answers_between(folder, "flights", 1, NOON + timedelta(hours=6), NOON + timedelta(hours=36))
    assert table.column("request_id").to_pylist() == ["6", "12", "18"]
    assert [str(day) for day in table.column("date").to_pylist()] == ["2026-03-01", "2026-03-02", "2026-03-02"]


def test_another_version_or_product_is_not_read(folder: str) -> None:
    write(folder, 1, logged("one"))
    write(folder, 11, logged("eleven"))
    [row] = answers_between(folder, "flights", 1, NOON, NOON + DAY).to_pylist()
    assert (row["request_id"], row["product"], row["version"]) == ("one", "flights", 1)
    assert answers_between(folder, "flight", 1, NOON, NOON + DAY).num_rows == 0
    assert answers_between(folder, "flights", 2, NOON, NOON + DAY).num_rows == 0


def test_only_the_columns_that_are_wanted_are_read(folder: str) -> None:
    write(folder, 1, logged())
    assert answers_between(folder, "flights", 1, NOON, NOON + DAY, ["f_hour"]).to_pylist() == [{"f_hour": 5.0}]
    with pytest.raises(BadInput, match="no column 'f_age'"):
        answers_between(folder, "flights", 1, NOON, NOON + DAY, ["f_age"])


def test_what_is_not_finished_is_not_read(folder: str) -> None:
    write(folder, 1, logged())
    store_of(folder).keep("product=flights/version=1/date=2026-03-01/.part-x-000001.parquet", b"half")
    store_of(folder).keep("product=flights/version=1/date=2026-03-01/ballast", b"strange")
    assert answers_between(folder, "flights", 1, NOON, NOON + DAY).num_rows == 1


def test_servers_that_masked_and_servers_that_did_not_are_read_together(folder: str) -> None:
    write(folder, 1, logged("a"), epoch="a")
    write(folder, 1, logged("b"), epoch="b", masking=Masking(frozenset({"carrier"}), b"secret"))
    write(folder, 1, logged("c"), epoch="c")
    plain, hidden, again = answers_between(folder, "flights", 1, NOON, NOON + DAY).to_pylist()
    assert (plain["f_carrier"], plain["h_carrier"], hidden["f_carrier"]) == ("UA", None, None)
    assert len(hidden["h_carrier"]) == 32
    assert again["f_carrier"] == "UA"


def test_pandas_reads_the_whole_log_by_itself(tmp_path: Path) -> None:
    write(str(tmp_path / "log"), 1, logged("one", (ROW,) * 2))
    write(str(tmp_path / "log"), 2, logged("two"))
    frame = pd.read_parquet(tmp_path / "log", filters=[("product", "==", "flights"), ("version", "==", 1)])
    assert frame["request_id"].tolist() == ["one", "one"]
    assert frame["time"].dt.tz is not None


def newest(folder: str, key: str, seconds: float, within: timedelta = DAY) -> str | None:
    [answer] = newest_answers(folder, "flights", [(key, NOON + seconds * SECOND)], within)
    return answer and f"v{answer.version} {answer.request_id}"


def test_the_newest_answer_to_a_key_is_the_last_until_a_moment_of_any_version(folder: str) -> None:
    write(
        folder,
        1,
        logged("a", (ROW,) * 3, key=b"ann", answered=1.0),
        logged("b", key=b"bob", answered=2.0),
        logged("c", answered=3.0),
    )
    write(folder, 2, logged("d", key=b"ann", answered=4.0))
    assert newest(folder, "ann", 0.5) is None
    assert newest(folder, "ann", 1.0) == "v1 a"
    assert newest(folder, "ann", 3.9) == "v1 a"
    assert newest(folder, "ann", 4.0) == "v2 d"
    assert newest(folder, "bob", 100.0) == "v1 b"
    assert newest(folder, "eve", 100.0) is None
    assert newest_answers(folder, "another", [("ann", NOON + DAY)], DAY) == [None]
    assert newest_answers(folder, "flights", [], DAY) == []


def test_many_keys_and_moments_are_asked_for_at_once_in_any_order(folder: str) -> None:
    for number in range(5):
        answers = [logged(f"{number}-{n}", key=b"%d" % (n % 10), answered=n * 60.0 + number) for n in range(300)]
        write(folder, number + 1, *answers, epoch=f"e{number}")
    wanted = [(str(key), NOON + timedelta(minutes=minute)) for minute in (299, 5, 120) for key in range(10)]
    found = newest_answers(folder, "flights", wanted, DAY)
    for (key, at), answer in zip(wanted, found, strict=True):
        minutes = [n for n in range(int(key), 300, 10) if NOON + timedelta(minutes=n) <= at]
        exact = minutes and NOON + timedelta(minutes=minutes[-1]) == at
        wish = f"{0 if exact else 4}-{minutes[-1]}" if minutes else None
        assert (answer and answer.request_id) == wish


def test_an_answer_that_is_too_old_or_that_nobody_got_is_not_meant(folder: str) -> None:
    write(folder, 1, logged("a", key=b"ann", answered=1.0), logged("b", key=b"ann", answered=2.0, mirrored=True))
    assert newest(folder, "ann", 3.0) == "v1 a"
    assert newest(folder, "ann", 61.0, within=timedelta(minutes=1)) == "v1 a"
    assert newest(folder, "ann", 61.1, within=timedelta(minutes=1)) is None


@pytest.mark.parametrize(
    "folder", ["log", "/var/log", "s3://bucket", "s3://bucket/log", "file:///var/log", "memory://x"]
)
def test_a_folder_or_url_may_be_a_log(folder: str) -> None:
    check_location(folder)


@pytest.mark.parametrize("folder", ["s3://", "://x", "s3://[x", "ftp://ann:hunter2@host/log", "az://a/b?sig=hunter2"])
def test_what_names_no_place_or_holds_a_secret_is_refused_without_telling_it(folder: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_location(folder)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("folder", ["log", "memory://log", "file:///log"])
def test_what_can_be_written_to_is_not_complained_of(folder: str) -> None:
    check_reachable_by_fsspec(folder)


def test_only_days_are_listed_in_which_an_answer_may_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = str(tmp_path / "log")
    for version in (1, 2):
        parts = Parts(store_of(log), "shop", str(version), f"e{version}")
        tables = Tables(FLIGHTS)
        for day in range(30):
            for date, block in tables.blocks([logged("a", key=b"ann", answered=-day * 86400.0)], NOON.timestamp()):
                parts.write(date, tables.table([block]))
    listed: list[str] = []
    real = reader.listed
    monkeypatch.setattr(reader, "listed", lambda system, path: (listed.append(path), real(system, path))[1])
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    found = newest_answers(log, "shop", [("ann", NOON), ("ann", long_ago)], 7 * DAY)
    assert [answer and answer.time for answer in found] == [NOON, None]
    days = {path.rpartition("date=")[2] for path in listed if "date=" in path}
    assert min(days) >= "2026-02-22"
    assert len(listed) <= 1 + 2 + 2 * 8
