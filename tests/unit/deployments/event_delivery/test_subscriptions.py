"""Which addresses may be told of events, and how subscriptions are kept."""

import stat
from pathlib import Path

import pytest

from deployments.errors import BadInput
from deployments.event_delivery.catalogue import GATE_REFUSED, JUDGED
from deployments.event_delivery.subscriptions import Subscriptions, is_public, new_subscription
from tests.advice import followed


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/a", "host/a", "https://", "https://a b/", "https://[::1", "https://u:p@host/", "https://host/#a",
        "https://host\n/a", "https://host:99999/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_receiver_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        new_subscription(url)


@pytest.mark.parametrize(
    "url", ["https://chat.example/a?b=c", "http://127.0.0.1:9/a", "http://[::1]/a", "http://10.0.0.7/"]
)
def test_https_and_what_names_a_private_place_itself_may_be_told(url: str) -> None:
    assert new_subscription(url).private is not url.startswith("https:")


def test_plain_http_and_unknown_types_say_what_to_do() -> None:
    with pytest.raises(BadInput) as refused:
        new_subscription("http://chat.example/a")
    assert followed(" would show events to whoever listens: write https, or say --private if it is near") in str(
        refused.value
    )
    assert new_subscription("http://chat.example/a", private=True).private
    with pytest.raises(BadInput) as refused:
        new_subscription("https://chat.example/a", (), ("rollout.*",))
    assert followed(", or a part of one with *") in str(refused.value)
    assert new_subscription("https://chat.example/a", (), ("io.seatrial.rollout.*",)).wants("flights", JUDGED)
    with pytest.raises(BadInput) as refused:
        new_subscription("chat.example")
    assert followed("that is no address of a receiver: write https://HOST/PATH") in str(refused.value)
    assert new_subscription("https://chat.example/a").host == "https://chat.example"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("224.0.0.1", False),
        ("2606:4700::1", True), ("0.0.0.1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_of_the_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_subscriptions_are_kept_for_their_owner_alone_and_read_back_equal(tmp_path: Path) -> None:
    made = Subscriptions(tmp_path / "keys")
    assert list(made.all()) == []
    new = new_subscription("https://chat.example/a", ("flights",), ("io.seatrial.*.refused",))
    made.keep(new)
    assert list(made.all()) == [new]
    assert stat.S_IMODE((tmp_path / "keys" / f"events-{new.id}").stat().st_mode) == 0o600
    assert new.wants("flights", GATE_REFUSED)
    assert not new.wants("shop", GATE_REFUSED)
    assert not new.wants("flights", JUDGED)
    made.remove(new.id)
    assert list(made.all()) == []


def test_a_damaged_file_says_how_to_get_rid_of_it_and_that_works(tmp_path: Path) -> None:
    made = Subscriptions(tmp_path)
    new = new_subscription("https://chat.example/a")
    made.keep(new)
    (tmp_path / f"events-{new.id}").write_text("{")
    with pytest.raises(BadInput) as damaged:
        list(made.all())
    assert followed(" is damaged: `seatrial events subscriptions remove` it") in str(damaged.value)
    made.remove(new.id)
    assert list(made.all()) == []
