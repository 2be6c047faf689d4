"""What is inferred of a column can be read so, and what may be meant in two ways is text."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.datasets.column_types import as_declared
from tasks.datasets.text_encoding import likely_encoding
from tasks.datasets.type_inference import inferred
from tasks.product_spec import ColumnSection, Source

CSV, PARQUET = Source(path="x.csv"), Source(path="x.parquet")


def of(values: Any, source: Source = CSV) -> dict[str, Any] | None:
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.large_string())
    found = inferred(pa.chunked_array([column]), source)
    return found and found.model_dump(mode="json", exclude_defaults=True)


NUMBER, CATEGORY, TIME = {"type": "number"}, {"type": "category"}, {"type": "time"}


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["1", "2", ""], NUMBER),
        (["1.5", "NA", "-2e3"], NUMBER),
        (["+5", "-0", " 7"], NUMBER),
        (["1.8e308", "-1.8e308", "1e400"], NUMBER),
        (["9223372036854775807", "18446744073709551615"], NUMBER),
        (["1234567890123456789", "", "1234567890123456790"], NUMBER),
        (["99999999999999999999"], CATEGORY),
        (["01067", "80331"], CATEGORY),
        (["007", "1.5"], CATEGORY),
        (["1,5", "2,25", "3"], NUMBER | {"decimal": ","}),
        (["1.234,5", "1"], NUMBER | {"decimal": ",", "thousands": "."}),
        (["1,234.5", "1"], NUMBER | {"decimal": ".", "thousands": ","}),
        (["1,234,567"], NUMBER | {"decimal": ".", "thousands": ","}),
        (["1'000", "2.5"], NUMBER | {"decimal": ".", "thousands": "'"}),
        (["1,234", "5,678"], CATEGORY),
        (["1.234", "5.678"], NUMBER),
        (["True", "FALSE", ""], {"type": "boolean"}),
        (["true", "1"], CATEGORY),
        (["yes", "no"], CATEGORY),
        (["2020-01-01", "2020-02-30"], CATEGORY),
        (["2020-01-01", "2020-01-01T12:00:00Z", "2020-01-01 12:00:00+05:30"], TIME),
        (["0001-01-01", "9999-12-31"], TIME),
        (["0001-01-01T00:00:00+05:00"], CATEGORY),
        (["31.01.2020", "01.02.2020"], TIME | {"format": "%d.%m.%Y"}),
        (["31/01/2020 12:00", "01/02/2020 13:00"], TIME | {"format": "%d/%m/%Y %H:%M"}),
        (["01/31/2020"], TIME | {"format": "%m/%d/%Y"}),
        (["01/02/2020", "03/04/2020"], CATEGORY),
        (["20200101", "2020"], NUMBER),
        (["1", "?", "NA", "", "-"], NUMBER | {"nulls": ["", "-", "?", "NA"]}),
        (["2020-01-01", "unknown"], TIME | {"nulls": ["", "unknown"]}),
        (["?", "-"], CATEGORY),
        (["a", "1"], CATEGORY),
        (["1" * 5000, "1"], CATEGORY),
        (["", "NA", "null", "None"], None),
        ([], None),
    ],
)
def test_text_of_a_csv_file_is_what_all_its_values_are(texts: list[str], found: dict[str, Any] | None) -> None:
    assert of(texts) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (pa.array([1, 2], pa.int64()), NUMBER),
        (pa.array([2**64 - 1], pa.uint64()), NUMBER),
        (pa.array([1.5, None]), NUMBER),
        (pa.array([Decimal("1.50")]), NUMBER),
        (pa.array([True, None]), {"type": "boolean"}),
        (pa.array([dt.date(2020, 1, 1)]), TIME),
        (pa.array([1], pa.timestamp("ns", "Europe/Berlin")), TIME),
        (pa.array(["80331", "10115"]), CATEGORY),
        (pa.array(["1,5", "2"]), NUMBER | {"decimal": ","}),
        (pa.array(["a", "b"]).dictionary_encode(), CATEGORY),
        (pa.array([None, None], pa.float64()), None),
        (pa.array([None, None]), None),
        (pa.array([[1], [2]]), None),
        (pa.array([{"a": 1}]), None),
        (pa.array([b"a"]), None),
        (pa.array([dt.time(12)]), None),
        (pa.array([dt.timedelta(1)]), None),
    ],
)
def test_a_typed_column_is_what_its_source_says(values: pa.Array, found: dict[str, Any] | None) -> None:
    assert of(values, PARQUET) == found


def test_the_words_and_the_sign_of_the_source_hold() -> None:
    assert of(["1,234", "5,678"], Source(path="x.csv", decimal=",")) == NUMBER
    assert of(["1", "n/v"], Source(path="x.csv", nulls=("n/v",))) == NUMBER
    assert of(["1", "NA"], Source(path="x.csv", nulls=("n/v",))) == CATEGORY


WORDS = "NA ? - 1 01 1,5 1.5 1,234 1.234,5 true False x inf 1e999 0x1F 2020-01-31 31.01.2020 01/02/2020 12:00 é"
CELLS = st.sampled_from([*WORDS.split(), "", " ", "a\nb", "2020-01-31T00:00:00Z", "9" * 19, "9" * 25])


@given(st.lists(CELLS, max_size=6), st.sampled_from([CSV, Source(path="x.csv", decimal=","), PARQUET]))
def test_every_value_can_be_read_as_what_is_inferred(texts: list[str], source: Source) -> None:
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    found = inferred(column, source)
    if found is None:
        return
    reading = as_declared(column, ColumnSection.model_validate_json(found.model_dump_json()), source)
    assert not reading.unreadable
    assert reading.values.null_count < len(column)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("a,é\n".encode(), "utf-8"),
        ("a,é\n".encode("utf-8-sig"), "utf-8"),
        ("a,b\n1,2\n".encode("utf-16"), "utf-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "utf-16-le"),
        ("a,b\n1,2\n".encode("utf-16-be"), "utf-16-be"),
        ("Zürich,5 €\n".encode("cp1252"), "cp1252"),
        (b"Z\xfcrich,\x81\n", "latin-1"),
        (b"PK\x03\x04\x00\x00\x00\x08\x00\xff", None),
        (b"", "utf-8"),
    ],
)
def test_an_encoding_is_told_from_the_bytes(content: bytes, encoding: str | None) -> None:
    assert likely_encoding(content) == encoding
