"""A release is asked for from elsewhere: signed, again until somebody answers, and never to a stranger in clear."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from deployments.clock import ManualClock
from deployments.errors import BadInput, PlatformUnreachable
from deployments.webhooks.remote_delivery import deliver, known_keys
from deployments.webhooks.sources.generic import Generic
from tests.advice import followed
from tests.unit.deployments.webhooks.deliveries import START

KEY = Generic().draw_key()


class Gateway:
    """Answers in turn; keeps what it was sent. An exception is raised instead."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.seen = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Sender:
    """Sends by a clock of its own."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)

    def __call__(self, gateway: Gateway, url: str = "https://models.example", key: str = KEY) -> dict[str, Any]:
        return deliver("flights", url, key, "msg_1-flights", self.clock, httpx.MockTransport(gateway))


@pytest.fixture
def send() -> Sender:
    return Sender()


def accepted() -> httpx.Response:
    return httpx.Response(202, json={"accepted": True, "delivery": "msg_1-flights", "action": "release"})


def test_what_is_sent_is_what_the_source_takes(send: Sender) -> None:
    gateway = Gateway(accepted())
    told = send(gateway)
    (request,) = gateway.seen
    assert str(request.url) == "https://models.example/seatrial/webhooks/generic/flights"
    signed = Generic().verified(dict(request.headers), request.content, (KEY,), send.clock.now())
    assert (signed.delivery, told["accepted"], told["status"]) == ("msg_1-flights", True, 202)
    assert KEY not in str(request.headers) + str(request.url)


def test_the_same_delivery_is_sent_again_with_a_fresh_signature(send: Sender) -> None:
    lost = httpx.ConnectError("away")
    gateway = Gateway(lost, httpx.Response(503, headers={"retry-after": "7"}), httpx.ReadTimeout("slow"), accepted())
    began = send.clock.now()
    assert send(gateway)["accepted"]
    assert {request.headers["webhook-id"] for request in gateway.seen} == {"msg_1-flights"}
    assert len({request.headers["webhook-signature"] for request in gateway.seen}) == len(gateway.seen)
    assert send.clock.now() - began == timedelta(seconds=1 + 7 + 4)


def test_nobody_there_is_told_in_the_end(send: Sender) -> None:
    gateway = Gateway(*[httpx.ConnectError("away")] * 6)
    with pytest.raises(PlatformUnreachable, match="ConnectError"):
        send(gateway)
    assert gateway.answers == []


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_what_is_refused_is_not_sent_again(send: Sender, status: int) -> None:
    gateway = Gateway(httpx.Response(status, json={"error": "no"}, headers={"location": "https://evil.example/"}))
    with pytest.raises(BadInput, match=f"HTTP {status}"):
        send(gateway)
    assert len(gateway.seen) == 1


@pytest.mark.parametrize(
    "url", ["http://models.example", "ftp://models.example", "models.example", "https://me:pw@models.example", ""]
)
def test_an_address_without_tls_or_none_is_refused(send: Sender, url: str) -> None:
    with pytest.raises(BadInput, match="--url") as error:
        send(Gateway(), url)
    said = str(error.value)
    assert "pw" not in said
    assert (followed(" is another machine: send over https://") in said) == url.startswith("http://")
    address = followed("write the gateway's address as this machine reaches it, such as https://models.example")
    assert (address in said) != url.startswith("http://")
    assert send(Gateway(accepted()), "https://models.example")["accepted"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', "whsec_secret"])
def test_keys_that_are_no_json_are_not_shown(text: str) -> None:
    with pytest.raises(BadInput) as error:
        known_keys(text)
    advice = followed('is not JSON of products and keys: write {"flights": "whsec_…"}')
    assert advice in str(error.value)
    assert "secret" not in str(error.value)
    assert known_keys('{"flights": "whsec_…"}') == {"flights": "whsec_…"}


@pytest.mark.parametrize("key", ["whsec_!", "", "whsec_", "sesame"])
def test_a_key_that_is_none_is_not_shown(send: Sender, key: str) -> None:
    with pytest.raises(BadInput, match="begins with whsec_") as error:
        send(Gateway(accepted()), key=key)
    assert followed("the key is none that `seatrial webhook create generic` shows:") in str(error.value)
    assert send(Gateway(accepted()), key=KEY)["accepted"]  # which draws its keys so
    assert not key or key not in str(error.value).replace("whsec_", "")
