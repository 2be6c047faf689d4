"""What comes to /seatrial/feedback: 202 means that it is on the disk, and whatever is wrong is told in one answer."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from deployments.analysis.evidence import Sums
from deployments.clock import ManualClock
from deployments.metrics.feedback import pending_by_user
from deployments.metrics.feedback.admission import MOST_METRICS, Kept
from deployments.metrics.feedback.store import FeedbackLedger
from deployments.spec import AnalysisSection, MetricRule, RolloutSection
from tests.advice import followed
from tests.feedback_door import Door, sealed
from tests.unit.flows.feedback_scene import BY_KEY, GATEWAY, ITEM, Scene, about


def test_what_is_accepted_is_stored_under_the_id_that_logs_know(ledger: FeedbackLedger) -> None:
    response = Scene(ledger).send([about("a"), about("b")])
    assert (response.status_code, response.json()) == (202, {"stored": 2, "refused": 0})
    assert ledger.sums("shop") == {3: {"clicks": Sums(2, 3.0, 4.5)}}
    assert ledger.latest("shop", "clicks", ["a", "b"]) == {"a": 1.5, "b": 1.5}


def test_csv_and_lines_of_json_are_taken_too(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    rows = "".join(f"shop,3,{sealed(name)},clicks,1\n" for name in ("a", "b"))
    table = f"product,version,request_id,metric,value\n{rows}".encode()
    assert scene.send(table, "text/csv; charset=utf-8").json()["stored"] == 2
    lines = json.dumps(about("c")).encode() + b"\n"
    assert scene.send(lines, "application/x-ndjson").json()["stored"] == 1
    assert ledger.sums("shop")[3]["clicks"].count == 3


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/json, text/plain",
        "application/jsonp",
    ],
)
def test_what_a_web_page_can_send_without_asking_first_is_not_taken(ledger: FeedbackLedger, kind: str | None) -> None:
    response = Scene(ledger).send(about("a"), kind)
    assert response.status_code == 415
    assert "application/json, application/x-ndjson" in response.json()["error"]
    assert "text/csv" in response.json()["error"]
    assert followed("send one of these content types: ") in response.json()["error"]
    assert ledger.sums("shop") == {}
    assert Scene(ledger).send(about("a"), "application/json").status_code == 202


@pytest.mark.parametrize(
    "browser",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:8080", "host": "localhost:8080"},
        {"origin": "https://shop.example.evil.example"},
        {"origin": "http://shop.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_a_page_of_another_origin_is_refused(ledger: FeedbackLedger, browser: dict[str, str], method: str) -> None:
    scene = Scene(ledger, None, "https://shop.example")
    response = scene.send(about("a"), method=method, headers=browser)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers
    assert ledger.sums("shop") == {}


def test_without_a_setting_no_page_may_send(ledger: FeedbackLedger) -> None:
    page = {"origin": "https://shop.example"}
    refused = Scene(ledger).send(about("a"), headers=page)
    assert refused.status_code == 403
    assert followed("web pages may not send feedback, but for those in SEATRIAL_FEEDBACK_ORIGINS") in refused.text
    assert Scene(ledger, None, "https://shop.example").send(about("a"), headers=page).status_code == 202


def test_a_page_of_a_listed_origin_may_ask_and_send(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger, None, "https://shop.example")
    asked = {
        "origin": "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    preflight = scene.send(b"", None, "OPTIONS", asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["vary"] == "Origin"
    sent = scene.send(about("a"), headers={"origin": "https://shop.example", "sec-fetch-site": "cross-site"})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (202, "https://shop.example")
    refused = scene.send({}, headers={"origin": "https://shop.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (422, "https://shop.example")


def test_invented_ids_are_refused_and_the_others_stored(ledger: FeedbackLedger) -> None:
    forged = [
        "a-1",
        "1f4a2c0e-5b7d-4f7e-9a51-0a6f4b8f7c11",
        f"x.{'0' * 32}",
        sealed("x", secret=b"another key"),
        sealed("x", product="other"),
        sealed("x", version=4),
        f"y{sealed('x')}",
        sealed("x")[:-1] + ("0" if sealed("x")[-1] != "0" else "1"),
    ]
    items = [about("good"), *(ITEM | {"request_id": each, "metric": f"m{place}"} for place, each in enumerate(forged))]
    response = Scene(ledger).send(items)
    assert response.status_code == 202
    told = response.json()
    assert (told["stored"], told["refused"], told["problems"][0]["at"]) == (1, len(forged), "[1].request_id")
    assert {name for metrics in ledger.sums("shop").values() for name in metrics} == {"clicks"}


def test_where_no_id_is_ours_nothing_is_stored(ledger: FeedbackLedger) -> None:
    response = Scene(ledger).send([ITEM | {"request_id": f"invented-{number}"} for number in range(1000)])
    assert response.status_code == 422
    assert (len(response.json()["problems"]), response.json()["more"]) == (20, 980)
    assert followed("send x-request-id as it came with the answer, seal and all") in response.text
    assert ledger.sums("shop") == {}
    assert Scene(ledger).send(about("a")).status_code == 202


def test_an_id_tells_a_version_and_cannot_be_turned_to_another(ledger: FeedbackLedger) -> None:
    assert Scene(ledger).send(about("a", version=4)).status_code == 422


def test_an_id_counts_once_however_often_it_is_sent(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    for value in (1.0, 0.0, 0.0):
        assert scene.send(about("a", value=value)).status_code == 202
    assert ledger.sums("shop")[3]["clicks"] == Sums(1, 1.0, 1.0)


def test_of_a_user_one_value_a_day_counts_for_each_version(ledger: FeedbackLedger) -> None:
    noon = datetime.now(UTC).replace(hour=12)
    days = (noon - timedelta(days=2), noon - timedelta(days=1))
    items = [
        ITEM
        | {"request_id": sealed(f"{key}-{version}-{day}-{number}", version=version, key=key, at=at)}
        | {"version": version, "value": number}
        for day, at in enumerate(days)
        for key in ("ann", "bob")
        for version in (3, 4)
        for number in range(5)
    ]
    assert Scene(ledger).send(items).json()["stored"] == 40
    found = {version: metrics["clicks"].count for version, metrics in ledger.sums("shop").items()}
    assert found == {3: 4, 4: 4}
    assert ledger.latest("shop", "clicks", ["ann-3-0-4"]) == {"ann-3-0-4": 4.0}, "it stands beside, for monitoring"


def test_an_answer_of_long_ago_is_refused(ledger: FeedbackLedger) -> None:
    old = sealed("a", at=datetime.now(UTC) - timedelta(days=91))
    response = Scene(ledger).send(ITEM | {"request_id": old})
    assert response.status_code == 422
    assert response.json()["problems"] == [{"at": "request_id", "error": "the answer is older than 90 days"}]


def test_after_an_upgrade_ids_without_a_seal_may_be_let_in(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger, Door(any_id=True))
    assert scene.send([about("a"), ITEM | {"request_id": "of-before"}]).json() == {"stored": 2, "refused": 0}
    assert ledger.latest("shop", "clicks", ["a", "of-before"]) == {"a": 1.5, "of-before": 1.5}


def test_an_invented_product_is_404_at_once_and_asked_for_once(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    for _ in range(3):
        response = scene.send([about("a"), *(BY_KEY | {"product": f"invented-{number}"} for number in range(900))])
        assert response.status_code == 404
        assert response.json()["problems"][0]["at"] == "[1].product"
    assert scene.door.asked == ["shop", "invented-0"]
    assert ledger.waiting(datetime.now(UTC) + timedelta(days=1)) == []


def test_a_key_is_demanded_where_there_is_one(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger, Door(keys={"shop": b"hunter2"}))
    for wrong in (
        {},
        {"authorization": "Bearer hunter3"},
        {"authorization": "Basic hunter2"},
        {"authorization": "Bearer"},
    ):
        for item in (about("a"), BY_KEY):
            response = scene.send(item, headers=wrong)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert "hunter" not in response.text
            assert followed("this product's feedback needs its key: send it as `authorization: Bearer KEY`") in (
                response.text
            )
    for item in (about("a"), BY_KEY):
        assert scene.send(item, headers={"authorization": "Bearer hunter2", **GATEWAY}).status_code == 202


@pytest.mark.parametrize(
    ("sender", "forwarded", "status"),
    [
        ("", "", 202),
        ("127.0.0.1", "192.0.2.1", 202),
        ("::1", "", 202),
        ("203.0.113.7", "203.0.113.7", 401),
        ("203.0.113.7", "127.0.0.1", 401),
        ("127.0.0.1", "203.0.113.7, 192.0.2.1", 401),
        ("127.0.0.1", "127.0.0.1, 192.0.2.1", 401),
        ("nonsense", "", 401),
    ],
)
def test_by_a_users_key_only_this_machine_may_send_unless_the_product_has_a_key(
    ledger: FeedbackLedger, sender: str, forwarded: str, status: int
) -> None:
    told = {"x-seatrial-sender": sender, "x-forwarded-for": forwarded}
    headers = {name: value for name, value in told.items() if value}
    assert Scene(ledger).send(BY_KEY, headers=headers).status_code == status
    assert Scene(ledger).send(about("a"), headers=headers).status_code == 202
    assert Scene(ledger, behind_gateway=False).send(BY_KEY, headers=headers).status_code == 401


def test_from_another_machine_a_key_of_the_product_or_request_ids_are_taken(ledger: FeedbackLedger) -> None:
    refused = Scene(ledger).send(BY_KEY, headers=GATEWAY)
    assert followed("none: give it one, or send request ids") in refused.text
    with_key = Scene(ledger, Door(keys={"shop": b"hunter2"}))
    assert with_key.send(BY_KEY, headers={"authorization": "Bearer hunter2", **GATEWAY}).status_code == 202
    assert Scene(ledger).send(about("a"), headers=GATEWAY).status_code == 202


def test_one_sender_may_send_so_much_a_minute_and_others_do_not_notice(ledger: FeedbackLedger) -> None:
    clock = ManualClock(datetime.now(UTC))
    scene = Scene(ledger, Door(rate=10, clock=clock))
    some = [about(f"id-{number}") for number in range(9)]
    assert scene.send(some, headers=GATEWAY).status_code == 202
    again = scene.send(some, headers=GATEWAY)
    assert again.status_code == 429
    assert 1 <= int(again.headers["retry-after"]) <= 61
    assert scene.send(some, headers={"x-seatrial-sender": "198.51.100.1"}).status_code == 202
    assert followed("too much feedback from here within a minute: send it again later") in again.text
    clock.advance(timedelta(seconds=int(again.headers["retry-after"])))
    assert scene.send(some, headers=GATEWAY).status_code == 202


def test_in_a_cluster_an_address_before_the_gateways_own_word_is_hearsay(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger, Door(rate=10), behind_gateway=False)
    some = [about(f"id-{number}") for number in range(9)]
    codes = [
        scene.send(some, headers={"x-forwarded-for": f"198.51.100.{number}, 203.0.113.7"}).status_code
        for number in range(3)
    ]
    assert codes == [202, 429, 429]
    of_one_network = [
        scene.send(some, headers={"x-forwarded-for": f"2001:db8::{number}"}).status_code for number in range(1, 4)
    ]
    assert of_one_network == [202, 429, 429]


@pytest.mark.parametrize(
    ("first", "other", "same"),
    [
        ("198.51.100.1:50000", "198.51.100.2:50000", False), ("198.51.100.1:50000", "198.51.100.1:50001", True),
        ("::ffff:198.51.100.1", "::ffff:198.51.100.2", False), ("::ffff:198.51.100.1", "198.51.100.1", True),
        ("[2001:db8::1]:443", "[2001:db8::2]:444", True), ("[2001:db8::1]", "2001:db8:0:1::1", False),
    ],
)  # fmt: skip
def test_an_address_is_known_however_a_proxy_writes_it(
    ledger: FeedbackLedger, first: str, other: str, same: bool
) -> None:
    scene = Scene(ledger, Door(rate=10), behind_gateway=False)
    some = [about(f"id-{number}") for number in range(9)]
    codes = [scene.send(some, headers={"x-forwarded-for": each}).status_code for each in (first, other)]
    assert codes == [202, 429 if same else 202]


def test_who_has_the_key_is_counted_apart_from_the_address(ledger: FeedbackLedger) -> None:
    scene = Scene(
        ledger, Door(products={"shop": RolloutSection(), "open": RolloutSection()}, keys={"shop": b"k"}, rate=10)
    )
    theirs = {"product": "open", "version": 3, "metric": "clicks", "value": 1}
    flood = [theirs | {"request_id": sealed(f"id-{number}", product="open")} for number in range(9)]
    assert scene.send(flood, headers=GATEWAY).status_code == 202
    assert scene.send(flood, headers=GATEWAY).status_code == 429
    with_key = {"authorization": "Bearer k", "x-seatrial-sender": "203.0.113.7"}
    assert scene.send([about(f"id-{number}") for number in range(9)], headers=with_key).status_code == 202


def test_a_full_product_keeps_no_other_waiting(ledger: FeedbackLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_by_user, "MOST_WAITING", 3)
    scene = Scene(ledger, Door(products={"shop": RolloutSection(), "other": RolloutSection()}))
    assert scene.send([BY_KEY | {"key": f"user-{number}"} for number in range(3)]).status_code == 202
    full = scene.send([BY_KEY | {"key": "one-more"}, about("a")])
    assert (full.status_code, full.headers["retry-after"]) == (429, "60")
    assert "shop" in full.json()["error"]
    assert ledger.sums("shop") == {}, "all or none"
    assert scene.send(BY_KEY | {"product": "other"}).status_code == 202


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        ("1970-01-01T00:00:00Z", "must not be older than 90 days, so not before 20"),
        ("9999-01-01T00:00:00Z", "must not lie in the future: here it is 20"),
    ],
)
@pytest.mark.parametrize("kind", ["request", "key"])
def test_a_time_that_nothing_can_match_is_refused_with_the_bound(
    ledger: FeedbackLedger, at: str, problem: str, kind: str
) -> None:
    item = about("a", at=at) if kind == "request" else BY_KEY | {"at": at}
    response = Scene(ledger).send([about("b"), item])
    assert response.status_code == 422
    [told] = response.json()["problems"]
    assert told["at"] == "[1].at"
    assert told["error"].startswith(problem)


def test_values_outside_their_range_are_told(ledger: FeedbackLedger) -> None:
    rules = (MetricRule(metric="feedback.clicks", margin=0.1, range=(0.0, 2.0)),)
    section = RolloutSection(analysis=AnalysisSection(metrics=rules))
    scene = Scene(ledger, Door(products={"shop": section}))
    told = scene.send([about("a"), about("b", value=1e9), about("c", metric="other", value=1e9)]).json()
    assert told == {"stored": 3, "refused": 0, "outside": 1}
    assert ledger.sums("shop", section.analysis.ranges)[3]["clicks"] == Sums(2, 3.5, 1.5**2 + 4)


def test_a_product_has_only_so_many_names_of_metrics(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    assert scene.send([about("a", metric=f"m{number}") for number in range(MOST_METRICS)]).status_code == 202
    response = scene.send([about("b", metric="m0"), about("b", metric="one_more")])
    assert (response.status_code, response.json()["problems"][0]["at"]) == (422, "[1].metric")
    assert followed(" names already: use one of these") in response.text
    assert scene.send([about("b", metric="m0"), about("b", metric="label", value="yes")]).status_code == 202


def test_a_product_keeps_only_so_many_values(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger, Door(kept=Kept(3)))
    assert scene.send([about(name) for name in "abc"]).status_code == 202
    full = scene.send(about("d"))
    assert (full.status_code, full.headers["retry-after"]) == (429, "3600")
