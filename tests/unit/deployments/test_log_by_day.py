"""A product's log is one table, whatever its versions and other products log."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.errors import BadInput
from deployments.inference_log_reader import part_path
from deployments.inference_log_reader.by_day import Wanted, logged_rows
from flows.entrypoints.cli.inference_log import LogFormat, log, moment
from tests.advice import followed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def put(
    folder: Path, product: str, version: int, times: list[datetime], server: str = "a", **features: list[object]
) -> None:
    """A part as a server writes it."""
    table = pa.table(
        {"time": pa.array(times, pa.timestamp("us", "UTC")), **{f"f_{name}": v for name, v in features.items()}}
    )
    path = folder / part_path(product, str(version), times[0].date(), f"part-{server}-0.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two products; one has two versions with other features, and two servers on one day."""
    put(tmp_path, "flights", 1, [NOON, NOON + timedelta(hours=2)], distance=[1.0, 3.0])
    put(tmp_path, "flights", 1, [NOON + timedelta(hours=1)], server="b", distance=[2.0])
    put(tmp_path, "flights", 2, [NOON + DAY], distance=[4.0], carrier=["UA"])
    put(tmp_path, "shop", 1, [NOON + DAY], price=[9.5])
    return tmp_path


EVERYTHING = Wanted()


def rows(folder: Path, product: str = "flights", wanted: Wanted = EVERYTHING) -> pd.DataFrame:
    tables = list(logged_rows(str(folder), product, wanted))
    assert len({tuple(table.column_names) for table in tables}) <= 1
    return pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame()


def test_all_versions_have_the_same_columns_and_no_other_products(folder: Path) -> None:
    found = rows(folder)
    assert found["f_distance"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert found["f_carrier"].isna().tolist() == [True, True, True, False]
    assert found["version"].tolist() == [1, 1, 1, 2]
    assert set(found["product"]) == {"flights"}
    assert "f_price" not in found.columns
    assert rows(folder, "shop")["f_price"].tolist() == [9.5]


@pytest.mark.parametrize(
    ("wanted", "distances"),
    [
        (Wanted(version=1), [1.0, 2.0, 3.0]),
        (Wanted(since=NOON + timedelta(hours=1)), [2.0, 3.0, 4.0]),
        (Wanted(since=NOON + DAY), [4.0]),
        (Wanted(last=2), [3.0, 4.0]),
        (Wanted(last=99), [1.0, 2.0, 3.0, 4.0]),
        (Wanted(version=1, last=1), [3.0]),
        (Wanted(version=3), []),
        (Wanted(since=NOON + 2 * DAY), []),
    ],
)
def test_rows_of_a_version_a_time_and_a_number(folder: Path, wanted: Wanted, distances: list[float]) -> None:
    found = rows(folder, wanted=wanted)
    assert (found["f_distance"].tolist() if len(found) else []) == distances


def test_an_empty_log_has_no_rows(tmp_path: Path) -> None:
    assert list(logged_rows(str(tmp_path / "none"), "flights", Wanted())) == []


def test_a_whole_number_and_a_decimal_one_are_one_column(tmp_path: Path) -> None:
    put(tmp_path, "flights", 1, [NOON], distance=[1])
    put(tmp_path, "flights", 2, [NOON + DAY], distance=[2.5])
    assert rows(tmp_path)["f_distance"].tolist() == [1.0, 2.5]


def test_what_was_a_number_and_is_a_category_is_text(tmp_path: Path) -> None:
    put(tmp_path, "flights", 1, [NOON], zone=[1.5])
    put(tmp_path, "flights", 2, [NOON + DAY], zone=["west"])
    assert rows(tmp_path)["f_zone"].tolist() == ["1.5", "west"]


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    (folder / "inference-log").mkdir(exist_ok=True)
    run = [sys.executable, "-m", "flows.entrypoints.cli.main", "log", *arguments]
    environment = {
        "SEATRIAL_HOME": str(folder),
        "SEATRIAL_PROJECT": str(folder),
        "PATH": "",
        "PYTHONPATH": ":".join(sys.path),
    }
    return subprocess.run(run, env=environment, capture_output=True, check=False, cwd=folder)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_command_writes_what_pandas_reads(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "inference-log", "flights", 1, [NOON], distance=[1.0], carrier=['a "b", c\n'])
    put(tmp_path / "inference-log", "flights", 2, [NOON + DAY], distance=[2.0], carrier=[None])
    told = command(tmp_path, "flights", "--format", kind)
    assert told.returncode == 0, told.stderr
    file = tmp_path / "out"
    file.write_bytes(told.stdout)
    read = {"csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True), "parquet": pd.read_parquet}[kind]
    found = read(file)
    assert found["f_distance"].tolist() == [1.0, 2.0]
    assert found["f_carrier"][0] == 'a "b", c\n'
    assert found["version"].tolist() == [1, 2]


def test_an_unknown_product_is_named(tmp_path: Path) -> None:
    told = command(tmp_path, "flihgts")
    assert told.returncode == 2
    assert (
        followed("`seatrial products` shows what was", "flows/entrypoints/cli/inference_log.py").encode() in told.stderr
    )


def test_a_time_that_is_none_is_named(tmp_path: Path) -> None:
    told = command(tmp_path, "flights", "--since", "yesterday")
    assert told.returncode == 2
    wanted = followed(
        "write a moment such as 2026-03-01T12:00, or how long ago, such as 2h", "flows/entrypoints/cli/inference_log.py"
    )
    assert b"--since 'yesterday'" in told.stderr
    assert wanted.encode() in told.stderr
    now = datetime(2026, 3, 2, tzinfo=UTC)
    assert moment("2026-03-01T12:00", now) == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert moment("2h", now) == now - timedelta(hours=2)


def test_parquet_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(BadInput, match=followed("write it to a file, with > answers.parquet")):
        log("flights", format=LogFormat.PARQUET)
