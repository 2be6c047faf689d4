"""What a column is comes from the spec, and is the same from every source."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pytest

from deployments.errors import BadData
from tasks.datasets.snapshot import Snapshot, load_snapshot, load_texts, take_snapshot
from tasks.datasets.sql_source import typed
from tasks.product_spec import ProductSpec
from tests.advice import followed

Taken = Callable[..., Snapshot]


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    """A snapshot of a source, with `n` a number and all other columns but `y` categories."""

    def take(source: dict[str, Any], *categories: str, **data: Any) -> Snapshot:
        spec = ProductSpec.model_validate_json(
            json.dumps(
                {
                    "product": "shop",
                    "data": {"source": source, "target": "y"} | data,
                    "validation": {"suite": "shop.suite.json"},
                    "preprocessing": {"numeric": {"columns": ["n"]}, "categorical": {"columns": categories or ["c"]}},
                    "model": {"task": "regression", "estimator": "sklearn.linear_model.Ridge"},
                    "gate": {"thresholds": [{"metric": "mae", "max": 3}]},
                }
            )
        )
        return take_snapshot(spec, tmp_path / "snapshots")

    return take


def csv(folder: Path, *texts: str, encoding: str = "utf-8", name: str = "c") -> dict[str, Any]:
    """A source with these texts as its column `c`."""
    path = folder / "x.csv"
    quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
    rows = [f"{row},{text},{row}" for row, text in enumerate(quoted)]
    path.write_bytes("\n".join([f"n,{name},y", *rows, ""]).encode(encoding))
    return {"path": str(path)}


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1067", "80331"], "int64"),
        (["1067", "NA"], "int64"),
        (["01067", "1067"], "string"),
        (["+1", "2"], "string"),
        ([" 1", "2"], "string"),
        (["0x1F", "2"], "string"),
        (["-0", "2"], "string"),
        (["1.5", "2.0"], "double"),
        (["1.50", "2.00"], "string"),
        (["3.1", "3.10"], "string"),
        (["1.5", "2"], "string"),
        (["-0.0", "0.0"], "string"),
        (["1234567890123456789", "1"], "int64"),
        (["18446744073709551615", "1"], "uint64"),
        (["18446744073709551616", "1"], "string"),
        (["True", "false", "FALSE"], "bool"),
        (["True", "1"], "string"),
        (["2020-01-02", "2020-01-03"], "date32[day]"),
        (["2020-01-02 03:04:05", "2020-01-03 00:00:00"], "timestamp[us]"),
        (["2020-01-02T03:04:05Z", "2020-01-03T00:00:00Z"], "string"),
        (["None", "x"], "string"),
    ],
)
def test_a_category_of_a_csv_file_is_typed_only_where_nothing_of_its_text_is_lost(
    texts: list[str], kind: str, taken: Taken, tmp_path: Path
) -> None:
    assert dict(taken(csv(tmp_path, *texts)).columns)["c"] == kind


FRAME = pd.DataFrame(
    {
        "n": [1.5, 2.0, -0.25, 4.0],
        "zip": ["01067", "1067", "80331", "01067"],
        "truth": [True, False, True, True],
        "id": [1234567890123456789, 1234567890123456790, 7, 8],
        "word": ['say "x"', "a,b", "two\nlines", "🚲"],
        "price": [0.1, 2.0, 3.25, 0.1],
        "day": pd.to_datetime(
            ["2020-01-02 01:02:03", "2020-01-03 00:00:00", "2020-01-02 01:02:03", "2020-01-05 04:05:06"]
        ),
        "y": [1, 2, 3, 4],
    }
)
CATEGORIES = ("zip", "truth", "id", "word", "price", "day")


def test_one_table_is_one_snapshot_whatever_it_is_kept_in(taken: Taken, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    FRAME.to_csv(tmp_path / "x.csv.gz", index=False)
    FRAME.to_csv(tmp_path / "utf16.csv", index=False, encoding="utf-16")
    FRAME.to_csv(tmp_path / "comma.csv", index=False, sep=";")
    FRAME.astype({"y": "int16"}).to_parquet(tmp_path / "x.parquet")
    with fsspec.open("memory://shop/x.csv", "wb") as file:
        file.write((tmp_path / "x.csv").read_bytes())
    sources: list[dict[str, Any]] = [
        {"path": str(tmp_path / "x.csv")},
        {"path": str(tmp_path / "x.csv.gz")},
        {"path": str(tmp_path / "utf16.csv"), "encoding": "utf-16"},
        {"path": str(tmp_path / "comma.csv"), "delimiter": ";"},
        {"path": str(tmp_path / "x.parquet")},
        {"url": f"file://{tmp_path / 'x.parquet'}"},
        {"url": "memory://shop/x.csv"},
    ]
    assert len({taken(source, *CATEGORIES).fingerprint for source in sources}) == 1


def test_a_query_gives_the_same_table_where_the_database_has_the_types(
    taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = FRAME.drop(columns=["truth", "day"])
    plain.to_csv(tmp_path / "x.csv", index=False)
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as database, database:
        plain.to_sql("shop", database, index=False)
    monkeypatch.setitem(os.environ, "SHOP_DB", f"sqlite:///{tmp_path / 'x.db'}")
    query = {"sql": "SELECT * FROM shop", "connection_env": "SHOP_DB"}
    names = ("zip", "id", "word", "price")
    assert taken(query, *names).fingerprint == taken({"path": str(tmp_path / "x.csv")}, *names).fingerprint


def test_declared_columns_are_the_same_table_from_text_and_from_types(taken: Taken, tmp_path: Path) -> None:
    rows = {"n": ["1.234,5", "-7", "?"], "c": ["01067", "1067", "NA"], "on": ["Ja", "nein", "ja"], "y": [1, 2, 3]}
    at = ["02.01.2020 10:00", "03.01.2020 11:00", "04.01.2020 12:00"]
    columns = {
        "n": {"type": "number", "decimal": ",", "thousands": ".", "nulls": ["?"]},
        "c": {"type": "category", "nulls": []},
        "on": {"type": "boolean", "true": ["ja"], "false": ["nein"]},
        "at": {"type": "time", "format": "%d.%m.%Y %H:%M"},
    }
    pd.DataFrame(rows | {"at": at}).to_csv(tmp_path / "x.csv", index=False)
    pd.DataFrame(rows | {"at": at}).to_parquet(tmp_path / "text.parquet")
    moments = pd.to_datetime(at, format="%d.%m.%Y %H:%M").tz_localize("UTC").as_unit("us")
    typed = {"n": [1234.5, -7.0, None], "c": rows["c"], "on": [True, False, True], "y": rows["y"], "at": moments}
    pd.DataFrame(typed).to_parquet(tmp_path / "typed.parquet")
    found = {
        taken({"path": str(tmp_path / name)}, "c", "on", columns=columns, time_column="at").fingerprint
        for name in ("x.csv", "text.parquet", "typed.parquet")
    }
    assert len(found) == 1


def test_what_a_column_means_does_not_hang_on_the_rows_that_a_file_holds(taken: Taken, tmp_path: Path) -> None:
    declared = {"c": {"type": "category"}}
    few = load_snapshot(taken(csv(tmp_path, "1067", "3.1", "True"), columns=declared))["c"]
    only = load_snapshot(taken(csv(tmp_path, "1067", "2"), columns=declared))["c"]
    assert (few.tolist(), only.tolist()) == (["1067", "3.1", "True"], ["1067", "2"])


def test_a_value_that_is_not_what_was_declared_stays_as_it_is_for_the_validation_to_tell(
    taken: Taken, tmp_path: Path
) -> None:
    source = csv(tmp_path, "1", "two", "3")
    assert load_snapshot(taken(source, columns={"c": {"type": "number"}}))["c"].tolist() == ["1", "two", "3"]


def test_a_time_that_cannot_be_read_is_told_at_once_for_no_row_would_be_in_a_window(
    taken: Taken, tmp_path: Path
) -> None:
    source, declared = csv(tmp_path, "01.02.2020", "2020-02-01"), {"type": "time", "format": "%d.%m.%Y"}
    with pytest.raises(BadData, match=r"1 of 2 values cannot be read so, such as '2020-02-01' in row 2") as refused:
        taken(source, columns={"c": declared}, time_column="c")
    assert followed("repair it at the source, or correct data.columns.") in str(refused.value)
    assert taken(csv(tmp_path, "01.02.2020"), columns={"c": declared}, time_column="c").rows == 1
    assert taken(csv(tmp_path, "2020-02-01"), columns={"c": {"type": "time"}}, time_column="c").rows == 1


def test_a_file_in_another_encoding_is_read_by_its_name(taken: Taken, tmp_path: Path) -> None:
    source = csv(tmp_path, "Zürich", "Genève", encoding="latin-1")
    with pytest.raises(BadData, match="is not UTF-8 text in column "):
        taken(source)
    with pytest.raises(BadData) as refused:
        taken(source | {"encoding": "ascii"})
    assert followed(": correct data.source.encoding") in str(refused.value)
    assert load_snapshot(taken(source | {"encoding": "latin-1"}))["c"].tolist() == ["Zürich", "Genève"]
    named = csv(tmp_path, "a", encoding="latin-1", name="größe")
    with pytest.raises(BadData, match=followed(": save it as UTF-8, or set data.source.encoding")):
        taken(named, "größe")
    assert load_snapshot(taken(named | {"encoding": "latin-1"}, "größe"))["größe"].tolist() == ["a"]


def test_numbers_and_missing_words_of_a_whole_file(taken: Taken, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("n;c;y\n1,5;NA;1\n?;?;2\n2,5;x;3\n")
    source = {"path": str(tmp_path / "x.csv"), "delimiter": ";", "decimal": ",", "nulls": ["?"]}
    frame = load_snapshot(taken(source))
    assert frame["n"].tolist()[::2] == [1.5, 2.5]
    assert frame["n"].isna().tolist() == [False, True, False]
    assert [None if pd.isna(each) else each for each in frame["c"]] == ["NA", None, "x"]


def test_whole_numbers_with_gaps_keep_every_digit(taken: Taken, tmp_path: Path) -> None:
    for kind, first in (("Int64", 1234567890123456789), ("UInt64", 2**64 - 3)):
        ids = pd.array([first, None, first + 1, first + 2], dtype=kind)
        pd.DataFrame({"n": [1.0] * 4, "c": ids, "y": [1, 2, 3, 4]}).to_parquet(tmp_path / "x.parquet")
        column = load_snapshot(taken({"path": str(tmp_path / "x.parquet")}))["c"]
        assert [int(each) for each in column.dropna()] == [first, first + 1, first + 2]


def test_the_text_of_a_csv_files_features_is_kept_beside_its_snapshot(taken: Taken, tmp_path: Path) -> None:
    source = csv(tmp_path, "True", "FALSE", "NA", "")
    snapshot = taken(source)
    texts = load_texts(snapshot.path)
    assert texts is not None
    assert texts["c"].tolist() == ["True", "FALSE", "NA", ""]
    assert texts["n"].tolist() == ["0", "1", "2", "3"]
    assert load_texts(tmp_path / "of a typed source.parquet") is None


def test_a_query_keeps_every_digit_of_whole_numbers() -> None:
    assert typed([Decimal(10**18 + 1), None, Decimal(10**18 + 2)]).to_pylist() == [10**18 + 1, None, 10**18 + 2]
    assert typed([2**64 - 1, 1]).to_pylist() == [2**64 - 1, 1]
    assert typed([Decimal("1.50"), Decimal("2")]).to_pylist() == [1.5, 2.0]
    assert typed([Decimal(1), Decimal(2)]).type == pa.float64()


def test_a_declared_column_that_is_not_there_is_named(taken: Taken, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"lacks 'cc' \(is it 'c'\?\)"):
        taken(csv(tmp_path, "a"), columns={"cc": {"type": "category"}})


def test_two_columns_of_one_name_are_told_whatever_they_are_used_for(taken: Taken, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("n,c,c,y\n1,a,b,1\n")
    with pytest.raises(BadData, match="several columns named c: rename all but one"):
        taken({"path": str(tmp_path / "x.csv")})
