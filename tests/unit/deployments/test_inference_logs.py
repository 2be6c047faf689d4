"""Logs are read as the servers wrote them: by version and time, and by the users' keys."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from deployments.errors import BadInput
from deployments.inference_logs import answers_between, answers_to, check_place, check_reachable_by_fsspec
from deployments.serving.inference_log import Logged
from deployments.serving.inference_log.parts import Parts, store_of
from deployments.serving.inference_log.table import Masking, Tables
from tests.unit.deployments.serving.inference_log.answered import ROW, logged
from tests.unit.deployments.serving.inference_log.test_table import FLIGHTS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
PLAIN = Masking()


@pytest.fixture(params=["here", "elsewhere"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "here":
        yield str(tmp_path / "log")
        return
    import fsspec

    yield f"memory://{tmp_path.name}/log"
    fsspec.filesystem("memory").store.clear()


def write(folder: str, version: int, *answers: Logged, epoch: str = "e", masking: Masking = PLAIN) -> None:
    """One part a day; `answered` counts from noon."""
    parts = Parts(store_of(folder), "flights", str(version), epoch)
    for day, batch in Tables(FLIGHTS, masking).batches(answers, NOON.timestamp()):
        parts.write(day, [batch])


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


def test_the_answers_to_a_key_are_found_in_every_version_and_those_that_nobody_got_are_not(folder: str) -> None:
    write(
        folder,
        1,
        logged("a", (ROW,) * 3, key=b"ann", answered=1.0),
        logged("b", key=b"bob", answered=2.0),
        logged("c", answered=3.0),
    )
    write(folder, 2, logged("d", key=b"ann", answered=4.0), logged("e", key=b"ann", answered=5.0, mirrored=True))
    found = sorted(answers_to(folder, "flights", {"ann", "eve"}, NOON, NOON + DAY), key=lambda each: each.time)
    assert [(each.request_id, each.version, each.key) for each in found] == [("a", 1, "ann"), ("d", 2, "ann")]
    assert found[0].time == NOON + SECOND
    assert list(answers_to(folder, "flights", {"ann"}, NOON + 5 * SECOND, NOON + DAY)) == []
    assert list(answers_to(folder, "another", {"ann"}, NOON, NOON + DAY)) == []


@pytest.mark.parametrize(
    "folder", ["log", "/var/log", "s3://bucket", "s3://bucket/log", "file:///var/log", "memory://x"]
)
def test_a_folder_or_url_may_be_a_log(folder: str) -> None:
    check_place(folder)


@pytest.mark.parametrize("folder", ["s3://", "://x", "s3://[x", "ftp://ann:hunter2@host/log", "az://a/b?sig=hunter2"])
def test_what_names_no_place_or_holds_a_secret_is_refused_without_telling_it(folder: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_place(folder)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("folder", ["log", "memory://log", "file:///log"])
def test_what_can_be_written_to_is_not_complained_of(folder: str) -> None:
    check_reachable_by_fsspec(folder)
