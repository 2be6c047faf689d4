import datetime as dt
import errno
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.errors import BadData, DiskFull, NotFound
from tasks.datasets.fingerprint import fingerprint
from tasks.datasets.snapshot import load_snapshot, required_columns, take_snapshot
from tasks.product_spec import ProductSpec, Window

MakeSpec = Callable[..., ProductSpec]
UTC = dt.UTC


def _window(**fields: Any) -> Window:
    return Window.model_validate(fields)


def test_a_snapshot_says_what_it_holds(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    taken = take_snapshot(make_spec(ices), tmp_path / "snapshots")
    assert taken.path == tmp_path / "snapshots" / "ices" / f"{taken.fingerprint}.parquet"
    assert taken.rows == 10
    assert taken.columns == (
        ("at", "timestamp[us, tz=UTC]"),
        ("heat", "double"),
        ("place", "string"),
        ("sold", "int64"),
    )
    assert (taken.start, taken.end) == (
        dt.datetime(2020, 5, 1, 12, tzinfo=UTC),
        dt.datetime(2020, 5, 10, 12, tzinfo=UTC),
    )
    assert pickle.loads(pickle.dumps(taken)) == taken  # noqa: S301 - our own bytes


def test_a_snapshot_is_read_only_and_named_by_what_is_in_it(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    taken = take_snapshot(make_spec(ices), tmp_path)
    assert stat.S_IMODE(taken.path.stat().st_mode) == 0o400
    assert fingerprint(pq.ParquetFile(taken.path).read()) == taken.fingerprint
    frame = load_snapshot(taken)
    assert list(frame["sold"]) == [day * 3 for day in range(1, 11)]
    assert str(frame["at"].dt.tz) == "UTC"


def test_the_same_rows_are_kept_once_and_not_written_again(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    first = take_snapshot(make_spec(ices), tmp_path / "s")
    before = first.path.stat()
    again = take_snapshot(make_spec(ices), tmp_path / "s")
    assert again == first
    assert (again.path.stat().st_ino, again.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_csv_and_parquet_of_the_same_rows_are_one_snapshot(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    from_csv = take_snapshot(make_spec(ices), tmp_path / "s")
    table = pq.read_table(from_csv.path)
    encoded = table.set_column(2, "place", table.column("place").dictionary_encode())
    pq.write_table(encoded, tmp_path / "ices.parquet", row_group_size=3)
    assert take_snapshot(make_spec(tmp_path / "ices.parquet"), tmp_path / "s") == from_csv


@pytest.mark.parametrize("damage", [b"", b"PAR1 half a file", None])
def test_a_damaged_copy_is_written_anew(ices: Path, make_spec: MakeSpec, tmp_path: Path, damage: bytes | None) -> None:
    taken = take_snapshot(make_spec(ices), tmp_path)
    taken.path.chmod(0o644)
    if damage is None:
        pq.write_table(pq.read_table(taken.path).slice(1), taken.path)
    else:
        taken.path.write_bytes(damage)
    again = take_snapshot(make_spec(ices), tmp_path)
    assert again == taken
    assert len(load_snapshot(again)) == 10
    assert stat.S_IMODE(again.path.stat().st_mode) == 0o400


def test_columns_of_every_kind_come_back_as_the_same_snapshot(make_spec: MakeSpec, tmp_path: Path) -> None:
    moments = pa.array([1, 2], pa.timestamp("s"))
    table = pa.table(
        {
            "at": moments,
            "heat": pa.array([1, None], pa.float32()),
            "place": pa.array(["a", "b"]).dictionary_encode(),
            "sold": pa.array([1, 2], pa.uint16()),
            "seconds": moments,
            "day": pa.array([dt.date(2020, 1, 1), None], pa.date64()),
            "hour": pa.array([dt.time(1), None], pa.time32("s")),
            "spans": pa.array([1, None], pa.duration("s")),
            "nothing": pa.nulls(2),
            "nested": [[1], None],
            "record": [{"a": 1}, None],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    spec = make_spec(tmp_path / "x.parquet")
    first = take_snapshot(spec, tmp_path / "s")
    written = first.path.stat().st_mtime_ns
    assert take_snapshot(spec, tmp_path / "s") == first
    assert first.path.stat().st_mtime_ns == written


def test_a_window_is_half_open(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(ices, window={"start": "2020-05-02T12:00:00", "end": "2020-05-05T12:00:00"})
    assert list(load_snapshot(take_snapshot(spec, tmp_path))["at"].dt.day) == [2, 3, 4]


@pytest.mark.parametrize(
    ("window", "days"),
    [
        ({"last": "3d"}, [8, 9, 10]),
        ({"last": "3d", "end": dt.date(2020, 5, 5)}, [2, 3, 4]),
        ({"end": dt.date(2020, 5, 3)}, [1, 2]),
        ({"start": dt.date(2020, 5, 9)}, [9, 10]),
        ({}, list(range(1, 11))),
    ],
)
def test_another_window_takes_the_place_of_the_specs(
    ices: Path, make_spec: MakeSpec, tmp_path: Path, window: dict[str, Any], days: list[int]
) -> None:
    spec = make_spec(ices, window={"start": "2020-05-01", "end": "2020-05-02"})
    assert list(load_snapshot(take_snapshot(spec, tmp_path, _window(**window)))["at"].dt.day) == days


def test_an_empty_window_says_what_the_data_span(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"holds 0 of 10 rows: 'at' spans 2020-05-01 12:00.* to 2020-05-10 12:00"):
        take_snapshot(make_spec(ices, window={"start": "2021-01-01"}), tmp_path)


def test_every_absent_column_is_named_with_what_it_may_be(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    ices.write_text(ices.read_text().replace("at,heat,place,sold", "at,Heat,spot,sold_"))
    with pytest.raises(BadData) as caught:
        take_snapshot(make_spec(ices), tmp_path)
    said = str(caught.value)
    assert "'heat' (is it 'Heat'?)" in said
    assert "the target 'sold' (is it 'sold_'?)" in said
    assert "'place'" in said


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["yesterday", "today"], "not ISO 8601"),
        (["1", "2"], "is of type int64, not a time"),
        (["2020-05-01", ""], "is empty in 1 of 2 rows"),
        (["2020-05-01T10:00:00Z", "2020-05-01 10:00:00"], "not ISO 8601 throughout"),
    ],
)
def test_a_time_column_that_is_no_time_says_why(
    make_spec: MakeSpec, tmp_path: Path, cells: list[str], said: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("at,heat,place,sold\n" + "\n".join(f"{cell},1,a,2" for cell in cells) + "\n")
    with pytest.raises(BadData, match=said):
        take_snapshot(make_spec(path), tmp_path)


@pytest.mark.parametrize("cell", ["2020-05-01T12:00:00+02:00", "2020-05-01T10:00:00Z", "2020-05-01 10:00:00"])
def test_moments_are_kept_as_utc(make_spec: MakeSpec, tmp_path: Path, cell: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"at,heat,place,sold\n{cell},1,a,2\n")
    assert take_snapshot(make_spec(path), tmp_path).start == dt.datetime(2020, 5, 1, 10, tzinfo=UTC)


def test_moments_as_text_are_understood(make_spec: MakeSpec, tmp_path: Path) -> None:
    table = pa.table({"at": ["2020-05-01 10:00:00", "2020-05-02"], "heat": [1, 2], "place": ["a", "b"], "sold": [1, 2]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert take_snapshot(make_spec(tmp_path / "x.parquet"), tmp_path).end == dt.datetime(2020, 5, 2, tzinfo=UTC)


def test_a_source_without_rows_is_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("at,heat,place,sold\n")
    with pytest.raises(BadData, match="has columns but no row"):
        take_snapshot(make_spec(tmp_path / "x.csv"), tmp_path)


def test_a_window_without_a_time_column_is_refused(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(ices, time_column=None)
    assert take_snapshot(spec, tmp_path).start is None
    with pytest.raises(BadData, match=r"no data\.time_column"):
        take_snapshot(spec, tmp_path, _window(last="3d"))


def test_a_full_disk_leaves_nothing_half_written(
    ices: Path, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="no space left"):
        take_snapshot(make_spec(ices), tmp_path / "s")
    assert list((tmp_path / "s" / "ices").iterdir()) == []


def test_a_lost_or_damaged_snapshot_says_what_to_do(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    taken = take_snapshot(make_spec(ices), tmp_path)
    taken.path.chmod(0o644)
    taken.path.write_bytes(b"rubbish")
    with pytest.raises(BadData, match="damaged: ingest the data again"):
        load_snapshot(taken)
    taken.path.unlink()
    with pytest.raises(NotFound, match="gone: ingest the data again"):
        load_snapshot(taken)


def test_a_folder_named_like_a_partition_adds_no_column(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    taken = take_snapshot(make_spec(ices), tmp_path / "year=2020")
    assert list(load_snapshot(taken).columns) == ["at", "heat", "place", "sold"]


def test_columns_that_the_spec_does_not_name_are_kept(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(ices, key=[], time_column=None)
    assert required_columns(spec) == ("sold", "heat", "place")
    assert "at" in load_snapshot(take_snapshot(spec, tmp_path)).columns
