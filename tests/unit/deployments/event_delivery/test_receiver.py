"""One try over real sockets: what is sent, and that no answer does harm."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from deployments.clock import ManualClock
from deployments.event_delivery.catalogue import RUN_REFUSED, occurrences
from deployments.event_delivery.outbox import Delivery, State
from deployments.event_delivery.receiver import Receiver
from deployments.event_delivery.sender import Answer, Arrived, Gone, Later
from deployments.event_delivery.subscriptions import Subscription, new_subscription
from deployments.journals.protocol import Recorded
from tests.advice import followed
from tests.execution.certificates import certify
from tests.unit.deployments.event_delivery.a_line import NOW, refused
from tests.unit.deployments.event_delivery.a_receiver import Answer as Way
from tests.unit.deployments.event_delivery.a_receiver import plain, receiver

OCCURRENCE = occurrences(Recorded("1", refused(reason="roc_auc 0.5 < 0.6 — zu klein")), lambda *_: None)[0]
DELIVERY = Delivery(1, "somebody", OCCURRENCE, State.WAITING, NOW, 0, "")
SHORT = timedelta(seconds=1)


@contextmanager
def sending(to: Subscription, longest: timedelta = SHORT) -> Iterator[Receiver]:
    made = Receiver(to, ManualClock(datetime.now(UTC)), longest)
    try:
        yield made
    finally:
        made.close()


def once(url: str, longest: timedelta = SHORT) -> Answer:
    with sending(new_subscription(url), longest) as made:
        return made.send(DELIVERY)


def answered(way: Way) -> Answer:
    with receiver(way) as heard:
        return once(heard.url)


def test_a_receiver_can_check_who_sends_and_read_a_cloud_event() -> None:
    with receiver(plain("204 No Content")) as heard:
        subscription = new_subscription(heard.url)
        with sending(subscription) as made:
            assert made.send(DELIVERY) == Arrived()
    ((headers, body),) = heard.requests
    Webhook(subscription.secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_subscription(heard.url).secret).verify(body, headers)
    assert headers["webhook-id"] == OCCURRENCE.id
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    event = from_structured(HTTPMessage(headers, body), JSONFormat())
    assert (event.get_id(), event.get_type(), event.get_source()) == (
        OCCURRENCE.id, RUN_REFUSED, "/seatrial/products/flights",
    )  # fmt: skip
    assert (event.get_time(), event.get_subject(), event.get_specversion()) == (OCCURRENCE.at, OCCURRENCE.run, "1.0")
    assert event.get_data() == dict(OCCURRENCE.data)


def test_a_second_try_has_the_same_id_and_body_and_a_new_time() -> None:
    with receiver(plain("500 No")) as heard:
        clock = ManualClock(NOW)
        made = Receiver(new_subscription(heard.url), clock)
        made.send(DELIVERY)
        clock.sleep(timedelta(hours=1))
        made.send(DELIVERY)
        made.close()
    (first, body), (second, again) = heard.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (plain("200 OK", body=b"thanks"), Arrived()),
        (plain("410 Gone"), Gone("the receiver answered HTTP 410")),
        (plain("500 No"), Later("the receiver answered HTTP 500")),
        (plain("404 No"), Later("the receiver answered HTTP 404")),
        (plain("503 No", "retry-after: 120"), Later("the receiver answered HTTP 503", timedelta(minutes=2), away=True)),
        (plain("429 No", "retry-after: 999999999"), Later("the receiver answered HTTP 429", timedelta(days=1), True)),
        (plain("500 No", "retry-after: soon"), Later("the receiver answered HTTP 500")),
        (plain("500 No", "retry-after: Thu, 01 Jan 1970 00:00:00 GMT"), Later("the receiver answered HTTP 500")),
        (plain("500 No", "retry-after: Fri, 31 Dec 9999 23:59:59 -2359"), Later("the receiver answered HTTP 500")),
    ],
)  # fmt: skip
def test_what_an_answer_means(way: Way, expected: Answer) -> None:
    assert answered(way) == expected


def test_a_date_to_come_back_at_is_heeded() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=3)
    got = answered(plain("503 No", f"retry-after: {soon:%a, %d %b %Y %H:%M:%S} GMT"))
    assert isinstance(got, Later)
    assert timedelta(minutes=2) < got.pause < timedelta(minutes=4)


def test_a_redirect_is_not_followed() -> None:
    with receiver(plain("200 OK")) as elsewhere:
        got = answered(plain("307 Elsewhere", f"location: {elsewhere.url}"))
    assert got == Later("the receiver answered HTTP 307")
    assert elsewhere.connections == []


def _trickle(to: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x-slow: 1\r\n" * 1000:
        to.sendall(bytes([byte]))
        time.sleep(0.05)


def _garbage(to: socket.socket) -> None:
    to.sendall(b"\x00\xff" * 4096)


def _silent(to: socket.socket) -> None:
    time.sleep(3)


def _endless_head(to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        to.sendall(b"x: " + b"y" * 65536 + b"\r\n")


@pytest.mark.parametrize("way", [_trickle, _garbage, _silent, _endless_head])
def test_no_answer_keeps_the_sender_longer_than_its_limit(way: Way) -> None:
    began = time.monotonic()
    got = answered(way)
    assert isinstance(got, Later)
    assert got.away
    assert time.monotonic() - began < 2.5


def test_of_a_huge_answer_little_is_read() -> None:
    sent = []

    def huge(to: socket.socket) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        for _ in range(200):
            to.sendall(b"x" * 1_000_000)
            sent.append(1)

    assert answered(huge) == Arrived()
    assert len(sent) < 50


def test_what_a_receiver_sets_is_not_sent_back_to_it() -> None:
    with receiver(plain("500 No", "set-cookie: a=b")) as heard, sending(new_subscription(heard.url)) as made:
        made.send(DELIVERY)
        made.send(DELIVERY)
    assert all("cookie" not in headers for headers, _ in heard.requests)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    authority, own, key = certify(tmp_path)
    with receiver(plain("200 OK"), (own, key)) as heard, pytest.MonkeyPatch.context() as patched:
        assert once(heard.url) == Later("the receiver cannot be asked (ConnectError)", away=True)
        assert heard.requests == []
        patched.setenv("SSL_CERT_FILE", str(authority))
        assert once(heard.url) == Arrived()


def test_a_name_that_leads_to_a_private_address_is_sent_nothing_unless_it_is_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a name does that somebody changes after the subscription was made."""
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: lookup("127.0.0.1", *more, **named))
    with receiver(plain("200 OK")) as heard:
        given = heard.url.replace("127.0.0.1", "hooks.example.com")
        public = replace(new_subscription(given.replace("http:", "https:")), url=given)
        with sending(public) as made:
            got = made.send(DELIVERY)
        assert isinstance(got, Later)
        assert followed("add the subscription again with --private if it is meant") in got.why
        assert heard.requests == []
        with sending(new_subscription(given, private=True)) as made:
            assert made.send(DELIVERY) == Arrived()


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(plain("200 OK")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        url = "http://hooks.example.com/hook"
        with sending(replace(new_subscription("https://hooks.example.com/hook"), url=url)) as made:
            assert made.send(DELIVERY) == Arrived()
    assert proxy.requests[0][0]["request"] == f"POST {url} HTTP/1.1"


def test_neither_key_nor_address_stands_in_what_is_told_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), receiver(plain("500 No")) as heard:
        subscription = new_subscription(heard.url)
        with sending(subscription) as made:
            told = [repr(made.send(DELIVERY)), repr(subscription), repr(made)]
        told.append(repr(once("http://127.0.0.1:1/hook/s3cret-path")))
    said = json.dumps(told) + caplog.text
    assert subscription.secret not in said
    assert "s3cret" not in said
