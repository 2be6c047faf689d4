"""Advice on the data of a spec is followed here, and helps."""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.errors import BadData
from tasks.datasets.snapshot import take_snapshot
from tasks.datasets.source import read_source
from tasks.datasets.split import split_by_time
from tasks.product_spec import DataSection, Format, ProductSpec, Source, Window
from tests.advice import followed

CSV = "at,heat\n2020-05-01 12:00:00,15.5\n2020-05-02 12:00:00,16\n"


def source(path: Path, kind: str | None = None) -> Source:
    return Source(path=str(path), format=Format(kind) if kind else None)


@pytest.mark.parametrize(("name", "wrong", "right"), [("x.csv", "parquet", "csv"), ("x.parquet", "csv", "parquet")])
def test_a_file_that_is_read_as_another_kind_names_its_own(tmp_path: Path, name: str, wrong: str, right: str) -> None:
    file = tmp_path / name
    if right == "csv":
        file.write_text(CSV)
    else:
        pq.write_table(pa.table({"at": ["2020-05-01"], "heat": [15.5]}), file)
    with pytest.raises(BadData) as error:
        read_source(source(file, wrong))
    told = {
        "csv": followed("it looks like text: set data.source.format: csv"),
        "parquet": followed("is a Parquet file, read as CSV: set data.source.format: parquet"),
    }
    assert told[right] in str(error.value)
    assert read_source(source(file, right))[0].num_columns == 2


def test_a_folder_is_answered_with_one_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(CSV)
    with pytest.raises(BadData, match=re.escape(followed("is a folder: give one file in data.source"))):
        read_source(source(tmp_path, "csv"))
    assert read_source(source(tmp_path / "x.csv"))[0].num_rows == 2


def test_columns_of_one_name_are_renamed_but_for_one(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("at,heat,heat\n2020-05-01,1,2\n")
    with pytest.raises(BadData, match=followed("rename all but one")):
        read_source(source(file))
    file.write_text("at,heat,warmth\n2020-05-01,1,2\n")
    assert read_source(source(file))[0].num_columns == 3


def test_a_file_that_is_not_there_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadData) as error:
        read_source(source(tmp_path / "x.csv"))
    assert followed("there is no file ") in str(error.value)
    (tmp_path / "x.csv").write_text(CSV)
    assert read_source(source(tmp_path / "x.csv"))[0].num_rows == 2


def test_an_empty_file_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    file.touch()
    with pytest.raises(BadData) as error:
        read_source(source(file))
    assert followed("is empty: write it again") in str(error.value)
    file.write_bytes(b"PAR1\0\xff\xfe half of it")
    with pytest.raises(BadData) as error:
        read_source(source(file))
    assert str(error.value).endswith("write it again")
    pq.write_table(pa.table({"heat": [15.5]}), file)
    assert read_source(source(file))[0].num_rows == 1


def test_another_delimiter_is_told_and_right(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(CSV.replace(",", ";"))
    with pytest.raises(BadData) as error:
        read_source(source(file))
    assert followed("set data.source.delimiter to ") in str(error.value)
    right = str(error.value).rpartition("'")[0].rpartition("'")[2]
    assert read_source(Source(path=str(file), delimiter=right))[0].num_columns == 2


def test_quotes_that_are_closed_make_rows_of_one_shape(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text('at,heat\n"2020-05-01,15\n2020-05-02,16\n')
    with pytest.raises(BadData) as error:
        read_source(source(file))
    assert "repair or quote it" in str(error.value)
    file.write_text('at,heat\n"2020-05-01",15\n2020-05-02,16\n')
    assert read_source(source(file))[0].num_rows == 2


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """Reads what a query of a database with one table `sales` finds."""
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE sales AS SELECT 1 AS heat")

    def read(address: str, query: str = "SELECT * FROM sales") -> Any:
        monkeypatch.setenv("SHOP_DB", address.replace("HERE", str(tmp_path)))
        return read_source(Source(sql=query, connection_env="SHOP_DB"))[0]

    return read


@pytest.mark.parametrize(
    ("address", "query", "told"),
    [
        ("sqlite:///HERE/ship.db", "SELECT * FROM sales", followed("there is no SQLite database ")),
        ("squeelite:///HERE/shop.db", "SELECT * FROM sales", followed("check what stands before ://")),
        (
            "HERE/shop.db",
            "SELECT * FROM sales",
            followed("holds no database URL: write dialect://user:password@host/name", "tasks/datasets/sql_source.py"),
        ),
        ("sqlite:///HERE/shop.db", "SELECT * FROM sails", followed("correct data.source.sql")),
    ],
)
def test_a_database_that_is_named_rightly_is_read(
    database: Callable[..., Any], address: str, query: str, told: str
) -> None:
    with pytest.raises(BadData) as error:
        database(address, query)
    assert told in str(error.value)
    assert database("sqlite:///HERE/shop.db").num_rows == 1


MakeSpec = Callable[..., ProductSpec]


def test_columns_and_windows_that_are_corrected_give_rows(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(BadData) as error:
        take_snapshot(make_spec(ices, target="soled"), tmp_path)
    assert followed("correct the spec or the source") in str(error.value)
    assert "is it 'sold'?" in str(error.value)
    with pytest.raises(BadData) as error:
        take_snapshot(make_spec(ices, window={"start": "2021-01-01"}), tmp_path)
    assert followed("move data.window there") in str(error.value)
    there = str(error.value).partition("spans ")[2].split(" to ")[0].split()[0]
    assert take_snapshot(make_spec(ices, window={"start": there}), tmp_path).rows == 10


def test_a_time_column_that_is_named_makes_a_window_possible(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    window = Window.model_validate({"start": "2020-05-06"}, strict=False)
    with pytest.raises(BadData) as error:
        take_snapshot(make_spec(ices, time_column=None), tmp_path, window)
    assert followed("so no row is in or out of a window: name one") in str(error.value)
    assert take_snapshot(make_spec(ices), tmp_path, window).rows == 5


def test_times_that_are_written_as_the_message_says_are_read(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    good = ices.read_text()
    ices.write_text(good.replace("2020-05-01 12:00:00", "1st of May"))
    with pytest.raises(BadData) as error:
        take_snapshot(make_spec(ices), tmp_path)
    assert followed("is text that is not ISO 8601 throughout: write 2013-01-31 17:00:00") in str(error.value)
    for written in ("2013-01-31 17:00:00", "2013-01-31T17:00:00Z"):
        ices.write_text(re.sub(r"2020-05-\d\d 12:00:00", written, good))
        assert take_snapshot(make_spec(ices, key=[]), tmp_path).rows == 10


def test_times_that_are_filled_are_all_there(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    good = ices.read_text()
    ices.write_text(good.replace("2020-05-01 12:00:00", ""))
    with pytest.raises(BadData) as error:
        take_snapshot(make_spec(ices), tmp_path)
    assert followed("fill it, or leave these rows out at the source") in str(error.value)
    ices.write_text(good)
    assert take_snapshot(make_spec(ices), tmp_path).rows == 10
    ices.write_text("\n".join(line for line in good.splitlines() if "05-01" not in line) + "\n")
    assert take_snapshot(make_spec(ices), tmp_path).rows == 9


def test_a_file_with_rows_is_one_with_rows(ices: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    good = ices.read_text()
    ices.write_text(good.splitlines()[0] + "\n")
    with pytest.raises(BadData) as error:
        take_snapshot(make_spec(ices), tmp_path)
    assert followed("has columns but no row: check data.source") in str(error.value)
    ices.write_text(good)
    assert take_snapshot(make_spec(ices), tmp_path).rows == 10


def frame(sold: list[Any]) -> pd.DataFrame:
    at = pd.date_range("2020-05-01", periods=len(sold), freq="D", tz="UTC").as_unit("us")
    return pd.DataFrame({"at": at, "sold": sold})


def section(**rule: Any) -> DataSection:
    return DataSection.model_validate(
        {"source": {"path": "x.csv"}, "target": "sold", "time_column": "at", "split": rule}, strict=False
    )


def test_a_split_that_holds_out_less_leaves_something_to_learn_from() -> None:
    rows = frame(list(range(10)))
    with pytest.raises(BadData) as error:
        split_by_time(rows, section(evaluation="30d"))
    assert followed("choose less or widen data.window") in str(error.value)
    assert len(split_by_time(rows, section(evaluation="3d")).training) == 7
    assert len(split_by_time(frame(list(range(40))), section(evaluation="30d")).training) == 10


def test_rows_without_the_target_are_left_out() -> None:
    rows = frame([*range(9), None])
    with pytest.raises(BadData) as error:
        split_by_time(rows, section(share=0.3))
    assert followed(": leave these out", "tasks/datasets/split.py") in str(error.value)
    assert len(split_by_time(rows.dropna(), section(share=0.3)).training) == 6
    with pytest.raises(BadData) as error:
        split_by_time(rows.iloc[:0], section(share=0.3))
    assert followed("there are no rows to split: check data.window") in str(error.value)
