import csv
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.columns import USUAL_NULLS
from deployments.serving.codecs.csv_rows import columns_of_csv
from deployments.serving.input_validation import Unanswerable, batch_of
from deployments.serving.model_metadata import Feature, Kind
from deployments.serving.request_limits import Limits

HOUR = Feature("hour", Kind.NUMERIC, "double", required=True)
CARRIER = Feature("carrier", Kind.CATEGORICAL, "string", required=False)
FEATURES = (HOUR, CARRIER)
FEATURE_NAMES = ("hour", "carrier")


def read(body: str | bytes) -> dict[str, Any]:
    columns = columns_of_csv(body.encode() if isinstance(body, str) else body, FEATURES, 100)
    frame = batch_of(columns, FEATURES, Limits(rows=100)).frame(FEATURES)
    return {name: frame[name].tolist() for name in FEATURE_NAMES}


@pytest.mark.parametrize(
    "body",
    [
        "hour,carrier\n5,UA\n6.5,B6\n",
        "hour,carrier\r\n5,UA\r\n6.5,B6",
        "\ufeffcarrier,,hour\n\nUA,1,5\n\nB6,2,6.5\n",
        '"carrier",hour\n"UA"," 5"\nB6,+65e-1\n',
    ],
)
def test_columns_are_found_by_their_header(body: str) -> None:
    assert read(body) == {"hour": [5.0, 6.5], "carrier": ["UA", "B6"]}


def test_an_unknown_column_is_told_by_its_place_for_a_header_may_be_missing() -> None:
    with pytest.raises(Unanswerable, match="takes no column at place 1 of the header, at place 3 of the header: "):
        batch_of(columns_of_csv(b"s3cret,hour,7.5\n1,2,3\n", FEATURES, 100), FEATURES, Limits())


def test_an_unknown_column_of_a_header_that_names_every_feature_is_told_by_its_name() -> None:
    with pytest.raises(Unanswerable, match="takes no column 'wind': leave it out"):
        batch_of(columns_of_csv(b"carrier,wind,hour\nUA,2,3\n", FEATURES, 100), FEATURES, Limits())


def test_quotes_hold_commas_quotes_and_line_ends() -> None:
    assert read('hour,carrier\n1,"a,b"\n2,"say ""x"""\n3,"two\nlines"\n')["carrier"] == ["a,b", 'say "x"', "two\nlines"]


@pytest.mark.parametrize("word", sorted(USUAL_NULLS))
def test_an_empty_field_and_the_words_for_it_are_missing_values(word: str) -> None:
    columns = read(f'hour,carrier\n5,UA\n{word},"{word}"\n')
    assert columns["carrier"] == ["UA", None]
    assert columns["hour"][0] == 5.0
    assert np.isnan(columns["hour"][1])


def test_the_words_for_a_missing_value_are_those_of_pandas() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert USUAL_NULLS == STR_NA_VALUES


def test_text_is_taken_as_it_is() -> None:
    assert read("hour,carrier\n1,7.0\n2, UA \n3,True\n")["carrier"] == ["7.0", " UA ", "True"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("hour,carrier\ns3cret,UA\n", 422, "column 'hour' must hold numbers"),
        ("hour\n1_0\n", 422, "column 'hour' must hold numbers"),
        ("hour\n٣\n", 422, "column 'hour' must hold numbers"),
        ("hour\ninf\n", 422, "column 'hour' must hold numbers"),
        ("hour\n1e999\n", 422, "column 'hour' holds an infinite number"),
        ("hour\n--1\n", 422, "column 'hour' must hold numbers"),
        ("hour\nyes\n", 422, "column 'hour' must hold numbers"),
        ("hour,carrier\n1,s3cret,2\n", 422, "row 0 has 3 values for 2 columns"),
        ("hour,hour\n1,s3cret\n", 422, "given twice"),
        ("carrier\ns3cret\n", 422, "column 'hour' is missing"),
        ("hour\n", 422, "no row"),
        ("", 422, "takes hour, carrier"),
        ('hour,carrier\n1,"s3cret', 400, "not CSV"),
        ('hour,carrier\n1,"s3"cret\n', 400, "not CSV"),
        (b"hour\n\xff\n", 400, "not UTF-8"),
        ("hour,carrier\n1," + "s3cret" * 30_000, 400, "not CSV"),
    ],
)
def test_a_refusal_names_the_column_and_never_what_was_sent(body: str | bytes, status: int, said: str) -> None:
    with pytest.raises(Unanswerable, match=said) as refused:
        content = body.encode() if isinstance(body, str) else body
        batch_of(columns_of_csv(content, FEATURES, 100), FEATURES, Limits(rows=100))
    assert refused.value.status == status
    assert "s3cret" not in str(refused.value)


fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), fields), min_size=1, max_size=5))
def test_whatever_python_writes_as_csv_is_read_back(rows: list[tuple[float, str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("hour", "carrier"), *rows])
    columns = read(text.getvalue())
    assert columns["hour"] == [number for number, _ in rows]
    assert columns["carrier"] == [None if field in USUAL_NULLS else field for _, field in rows]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_bytes_are_sent_they_are_columns_or_a_refusal(body: bytes) -> None:
    try:
        batch_of(columns_of_csv(b"hour,carrier\n" + body, FEATURES, 100), FEATURES, Limits(rows=9))
    except Unanswerable as refused:
        assert 400 <= refused.status < 500


def test_more_rows_than_are_answered_at_once_are_not_even_read() -> None:
    with pytest.raises(Unanswerable, match="more than 100 rows") as refused:
        columns_of_csv(b"hour,carrier\n" + b"1,UA\n" * 101 + b'"', FEATURES, 100)
    assert refused.value.status == 413
    assert len(columns_of_csv(b"hour,carrier\n" + b"1,UA\n" * 100, FEATURES, 100)["hour"]) == 100
