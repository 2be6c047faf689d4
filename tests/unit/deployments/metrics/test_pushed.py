import json
from typing import Any

import pytest

from deployments.metrics.feedback import Feedback
from deployments.metrics.pushed import MOST_ITEMS, BadFeedback, read_feedback

GOOD = {"product": "shop", "version": 3, "request_id": "a-1", "metric": "clicks", "value": 1.5}


def read(*items: Any) -> tuple[Feedback, ...]:
    return read_feedback(json.dumps(items).encode())


def problems(body: bytes) -> list[tuple[str, str]]:
    with pytest.raises(BadFeedback) as caught:
        read_feedback(body)
    return list(caught.value.problems)


def test_one_object_or_a_list_is_read() -> None:
    wanted = Feedback("shop", 3, "a-1", "clicks", 1.5)
    assert read_feedback(json.dumps(GOOD).encode()) == (wanted,)
    assert read(GOOD, GOOD | {"value": 2}) == (wanted, Feedback("shop", 3, "a-1", "clicks", 2.0))


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
        ({"request_id": "a" * 129}, "request_id"),
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
