"""What users with a sticky key got: counted apart, the last of it told one by one, without the key."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.loaded_model import Model
from deployments.serving.recent_by_user import KeyedAnswers, StickyKeys, hashed
from deployments.serving.server_state import Service
from tests.unit.deployments.serving.test_counts import MIRRORED
from tests.unit.deployments.serving.test_management_api import RECORD, ROW, Caller, NotANumber, answering

KEY = "x-user-id"


def told(caller: Caller, query: str = "") -> list[Any]:
    rows: list[Any] = caller.get(f"/seatrial/users{query}").json()["answers"]
    return rows


@pytest.fixture
def caller(model: Model) -> Caller:
    return Caller(Service(model, "3", keys=StickyKeys.of(KEY, None)))


def test_an_answer_to_a_user_with_a_key_is_told_with_a_hash_and_the_shares_of_what_was_predicted(
    caller: Caller,
) -> None:
    body = {"dataframe_records": [ROW] * 3}
    assert caller.post("/invocations", body, **{KEY: "ann", "x-request-id": "a"}).status_code == 200
    [[number, request_id, user, failed, latency, given_up, predicted]] = told(caller, "?salt=s")
    assert (number, request_id, user, failed, given_up) == (1, "a", hashed(b"ann", b"s"), False, None)
    assert (isinstance(latency, int), list(predicted.values())) == (True, [1.0])
    assert "ann" not in caller.get("/seatrial/users").text


def test_requests_without_a_key_and_copies_are_not_told(caller: Caller) -> None:
    for headers in ({}, {KEY: ""}, {KEY: "ann"} | MIRRORED):
        caller.post("/invocations", RECORD, **headers)
    assert told(caller) == []
    counts = caller.get("/seatrial/counts").json()
    assert [counts[kind]["requests"] for kind in ("users", "keyed", "copies")] == [2, 0, 1]


def test_what_was_predicted_for_users_with_a_key_is_told_apart_and_among_all(caller: Caller) -> None:
    for headers in ({}, {}, {KEY: "ann"}, {KEY: "ann"} | MIRRORED):
        caller.post("/invocations", RECORD, **headers)
    told = caller.get("/seatrial/counts").json()
    assert [sum(told[which].values()) for which in ("predictions", "keyed_predictions")] == [3, 1]


def test_what_came_with_a_key_is_counted_apart_and_among_all(model: Model) -> None:
    caller = answering(model, NotANumber(), keys=StickyKeys.of(KEY, None))
    for headers in ({}, {KEY: "ann"}, {KEY: "bob"}):
        assert caller.post("/invocations", RECORD, **headers).status_code == 500
    counts = caller.get("/seatrial/counts").json()
    assert [counts["users"][what] for what in ("requests", "errors")] == [3, 3]
    assert [counts["keyed"][what] for what in ("requests", "errors")] == [2, 2]
    assert 'requests_total{code="500",mirrored="false"} 3' in caller.get("/metrics").text
    assert [(row[3], row[6]) for row in told(caller)] == [(True, {}), (True, {})]


def test_whoever_comes_through_the_gateway_does_not_learn_it(caller: Caller) -> None:
    assert caller.send("GET", "/seatrial/users", headers={"x-forwarded-proto": "http"}).status_code == 404


@pytest.mark.parametrize(
    ("cookies", "key"),
    [(b"Sid=7", b"7"), (b"a=1; Sid=7; b=2", b"7"), (b"NotSid=7", None), (b"Sid=", None), (b"", None)],
)
def test_the_key_may_be_a_cookie(cookies: bytes, key: bytes | None) -> None:
    assert StickyKeys.of("x", "Sid").key_of({b"cookie": cookies, b"x": b"9"}) == key


@given(st.binary(min_size=1, max_size=600), st.binary(max_size=100))
def test_a_hash_is_the_same_for_the_same_salt_and_of_no_use_for_another(key: bytes, salt: bytes) -> None:
    assert hashed(key, salt) == hashed(key, salt) != hashed(key, salt + b"x")
    assert len(hashed(key, salt)) == 32


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 1000)), max_size=40), st.integers(0, 50))
def test_memory_is_bounded_by_answers_and_by_what_they_hold_and_what_is_forgotten_is_told(
    given_answers: list[tuple[int, int]], after: int
) -> None:
    kept = KeyedAnswers(capacity=10, shares=50)
    for place, (shares, length) in enumerate(given_answers):
        kept.keep(str(place + 1), b"k" * length, False, 0, None, {str(each): 0.1 for each in range(shares)})
    answers, dropped = kept.after(after, 100)
    assert len(answers) <= 10
    assert sum(len(each.predicted) for each in answers) <= 50
    assert all(len(each.key) <= 256 for each in answers)
    assert [each.number for each in answers] == [int(each.request_id) for each in answers]
    assert len(answers) + dropped == max(0, len(given_answers) - after)
    assert not answers or answers[-1].number == kept.last == len(given_answers)
