import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.metrics.feedback.parsing import MOST_ITEMS, BadFeedback, read_feedback
from deployments.metrics.feedback.pending_by_user import KeyedFeedback
from deployments.metrics.feedback.store import Feedback

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = {"product": "shop", "version": 3, "request_id": "a-1", "metric": "clicks", "value": 1.5}


def read(*items: Any) -> tuple[Feedback | KeyedFeedback, ...]:
    return read_feedback(json.dumps(items).encode(), NOW)


def problems(body: bytes) -> list[tuple[str, str]]:
    with pytest.raises(BadFeedback) as caught:
        read_feedback(body, NOW)
    return list(caught.value.problems)


def test_one_object_or_a_list_is_read() -> None:
    wanted = Feedback("shop", 3, "a-1", "clicks", 1.5, NOW)
    assert read_feedback(json.dumps(GOOD).encode(), NOW) == (wanted,)
    assert read(GOOD, GOOD | {"value": 2}) == (wanted, Feedback("shop", 3, "a-1", "clicks", 2.0, NOW))


@pytest.mark.parametrize(
    ("value", "text"), [("UA", "UA"), (True, "true"), (False, "false"), (1, "1"), (1.0, "1"), (12.5, "12.5")]
)
def test_a_label_is_text_however_it_is_written(value: Any, text: str) -> None:
    assert read(GOOD | {"metric": "label", "value": value})[0].value == text


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"product": "No Such"}, "product"),
        ({"product": "x" * 41}, "product"),
        ({"product": None}, "product"),
        ({"version": 0}, "version"),
        ({"version": "3"}, "version"),
        ({"version": 3.0}, "version"),
        ({"version": True}, "version"),
        ({"version": 2**31}, "version"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": "a\nb"}, "request_id"),
        ({"request_id": "a" * 193}, "request_id"),
        ({"metric": "Clicks"}, "metric"),
        ({"metric": "clicks\n"}, "metric"),
        ({"value": "1"}, "value"),
        ({"value": None}, "value"),
        ({"value": True}, "value"),
        ({"value": 1e16}, "value"),
        ({"value": [1]}, "value"),
        ({"metric": "label", "value": ""}, "value"),
        ({"metric": "label", "value": "x" * 129}, "value"),
        ({"metric": "label", "value": "a\x00b"}, "value"),
        ({"metric": "label", "value": None}, "value"),
        ({"user": "ann"}, "user"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-02-28T12:00:00"}, "at"),
        ({"at": "2026-03-01T12:06:00Z"}, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"at": 1_772_366_400}, "at"),
        ({"at": None}, "at"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_quoting_it(wrong: dict[str, Any], place: str) -> None:
    [(where, problem)] = problems(json.dumps([GOOD, GOOD | wrong]).encode())
    assert where == f"[1].{place}"
    given = next(iter(reversed(wrong.values())))
    assert not (isinstance(given, str) and len(given) > 1 and given in problem)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_what_is_no_finite_number_is_refused(number: str) -> None:
    assert problems(json.dumps([GOOD]).replace("1.5", number).encode())


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(json.dumps([GOOD | {"version": 0, "value": "x"}, {}, 7]).encode())
    assert {place for place, _ in found} == {
        "[0].version",
        "[0].value",
        "[1].product",
        "[1].version",
        "[1].request_id",
        "[1].metric",
        "[1].value",
        "[2]",
    }


def test_the_place_in_a_single_object_is_its_field() -> None:
    assert [place for place, _ in problems(json.dumps(GOOD | {"version": 0}).encode())] == ["version"]
    assert [place for place, _ in problems(b"7")] == [""]


def test_more_items_than_one_request_may_hold_are_refused() -> None:
    assert len(read(*[GOOD] * MOST_ITEMS)) == MOST_ITEMS
    for items in ([], [GOOD] * (MOST_ITEMS + 1)):
        [(place, problem)] = problems(json.dumps(items).encode())
        assert (place, "1 to 1000 items" in problem) == ("", True)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b'"text"', b"7"])
def test_what_is_not_feedback_at_all_is_refused(body: bytes) -> None:
    assert problems(body)


def test_what_is_about_a_user_goes_by_the_key_and_needs_no_version() -> None:
    by_key = {"product": "shop", "key": "ann", "metric": "clicks", "value": 2}
    assert read(by_key) == (KeyedFeedback("shop", "ann", "clicks", 2.0, NOW, NOW),)
    earlier = NOW - timedelta(hours=3)
    assert read(by_key | {"at": "2026-03-01T10:00:00+01:00"}) == (
        KeyedFeedback("shop", "ann", "clicks", 2.0, earlier, NOW),
    )
    [mixed, _] = read(GOOD, by_key)
    assert isinstance(mixed, Feedback)


@pytest.mark.parametrize("wrong", [{"version": 3}, {"request_id": "a-1"}, {"key": ""}, {"key": "x" * 257}, {"key": 7}])
def test_a_key_stands_alone(wrong: dict[str, Any]) -> None:
    by_key = {"product": "shop", "key": "ann", "metric": "clicks", "value": 2}
    [(place, _)] = problems(json.dumps([by_key | wrong]).encode())
    assert place == f"[0].{next(iter(wrong))}"


def test_a_time_is_taken_in_any_zone() -> None:
    [told] = read(GOOD | {"at": "2026-03-01T13:04:00+01:00"})
    assert told.at == NOW + timedelta(minutes=4)


def test_lines_of_json_and_csv_say_the_same_as_a_list() -> None:
    items = [GOOD | {"at": "2026-02-01T00:00:00Z"}, GOOD | {"metric": "label", "value": "yes"}]
    lines = b"\n".join(json.dumps(item).encode() for item in items) + b"\n\n"
    table = (
        b"product,version,request_id,metric,value,at\r\n"
        b"shop,3,a-1,clicks,1.5,2026-02-01T00:00:00Z\r\n"
        b"shop,3,a-1,label,yes,\r\n"
    )
    assert read_feedback(lines, NOW, "application/x-ndjson") == read(*items)
    assert read_feedback(table, NOW, "text/csv") == read(*items)


@pytest.mark.parametrize(
    ("cell", "text"), [("1.0", "1"), ("-7.00", "-7"), ("007", "007"), ("1.5", "1.5"), ("UA", "UA")]
)
def test_a_label_in_csv_is_text_but_for_a_whole_number_with_decimals(cell: str, text: str) -> None:
    table = f"product,version,request_id,metric,value\nshop,3,a-1,label,{cell}".encode()
    assert read_feedback(table, NOW, "text/csv")[0].value == text


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ("shop,3,a-1,clicks,many", "[0].value"),
        ("shop,three,a-1,clicks,1", "[0].version"),
        ("shop,,a-1,clicks,1", "[0].version"),
        ("shop,3,a-1,clicks,nan", "[0].value"),
        ("shop,3,a-1,clicks,1,more", "[0]"),
        ("shop,3,a-1", "[0]"),
        ('shop,3,a-1,clicks,"1', ""),
        ("shop,3,a-1,clicks,1_000", "[0].value"),
        ("shop,3,a-1,clicks,\uff11\uff12", "[0].value"),
        ("shop,3,a-1,clicks,\u0661", "[0].value"),
    ],
)
def test_a_mistake_in_csv_is_told_with_its_row(row: str, place: str) -> None:
    with pytest.raises(BadFeedback) as caught:
        read_feedback(f"product,version,request_id,metric,value\n{row}".encode(), NOW, "text/csv")
    assert [where for where, _ in caught.value.problems] == [place]


def test_a_line_that_is_no_json_is_told_with_its_number() -> None:
    with pytest.raises(BadFeedback) as caught:
        read_feedback(json.dumps(GOOD).encode() + b"\n{", NOW, "application/x-ndjson")
    assert [where for where, _ in caught.value.problems] == ["[1]"]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"product,version\n", b"a\x00b"])
def test_csv_without_feedback_is_refused(body: bytes) -> None:
    with pytest.raises(BadFeedback):
        read_feedback(body, NOW, "text/csv")


def test_a_column_of_csv_that_is_there_twice_is_refused_and_one_without_a_name_is_not() -> None:
    with pytest.raises(BadFeedback, match="its header names a column twice"):
        read_feedback(b"product,version,request_id,metric,value,value\nshop,3,a-1,clicks,1,2", NOW, "text/csv")
    assert read_feedback(b"product,version,request_id,metric,value,,\nshop,3,a-1,clicks, 1 ,,", NOW, "text/csv")


@pytest.mark.parametrize("key", ["ann\0", "ann\n", "\u202eann", ""])
def test_what_no_header_or_database_holds_is_no_key_of_a_user(key: str) -> None:
    item = {"product": "shop", "metric": "clicks", "value": 1.0, "key": key}
    with pytest.raises(BadFeedback, match=r"^key: "):
        read_feedback(json.dumps(item).encode(), NOW)
