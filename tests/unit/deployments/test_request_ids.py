"""Only what a server sealed can be opened, and says what the server knew."""

from datetime import UTC, datetime, timedelta

import pytest

from deployments.clock import ManualClock
from deployments.request_ids import GivenOut, Sealer, Seals, without_seal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
UUID = "1f4a2c0e-5b7d-4f7e-9a51-0a6f4b8f7c11"


def test_what_was_sealed_is_opened_with_its_time_and_user() -> None:
    clock = ManualClock(NOON)
    sealer, seals = Sealer(b"secret", "shop", 3, clock), Seals(b"secret")
    assert seals.opened(sealer.sealed(UUID, None, 0.0), "shop", 3) == GivenOut(UUID, NOON, "")
    of_ann = seals.opened(sealer.sealed(UUID, b"ann", 0.0), "shop", 3)
    assert of_ann == GivenOut(UUID, NOON, seals.user("shop", "ann"))
    assert len({seals.user(product, name) for product in ("shop", "other") for name in ("ann", "bob")}) == 4
    clock.advance(timedelta(hours=1))
    assert seals.opened(sealer.sealed(UUID, None, clock.monotonic()), "shop", 3) == GivenOut(
        UUID, NOON + timedelta(hours=1), ""
    )


def test_no_letter_of_it_can_be_another() -> None:
    given = Sealer(b"secret", "shop", 3, ManualClock(NOON)).sealed(UUID, b"ann", 0.0)
    for place, letter in enumerate(given):
        for other in "0a.-":
            if other != letter:
                assert Seals(b"secret").opened(given[:place] + other + given[place + 1 :], "shop", 3) is None
    for cut in range(1, len(given)):
        assert Seals(b"secret").opened(given[cut:], "shop", 3) is None
        assert Seals(b"secret").opened(given[:-cut], "shop", 3) is None


def test_letters_of_an_id_are_no_user_and_a_user_is_no_part_of_an_id() -> None:
    sealer, seals = Sealer(b"secret", "shop", 3, ManualClock(NOON)), Seals(b"secret")
    request_id, _, seal = sealer.sealed(f"abcdef{UUID}", None, 0.0).rpartition(".")
    moved = f"{UUID}.{seal[:8]}{b'abcdef'.hex()}{seal[8:]}"
    assert request_id == f"abcdef{UUID}"
    assert seals.opened(moved, "shop", 3) is None


@pytest.mark.parametrize(
    ("secret", "product", "version"), [(b"other", "shop", 3), (b"secret", "shop2", 3), (b"secret", "shop", 33)]
)
def test_of_another_key_product_or_version_nothing_is_opened(secret: bytes, product: str, version: int) -> None:
    given = Sealer(b"secret", "shop", 3, ManualClock(NOON)).sealed(UUID, None, 0.0)
    assert Seals(secret).opened(given, product, version) is None


def test_a_key_may_have_any_length() -> None:
    for secret in (b"x", b"x" * 10_000):
        given = Sealer(secret, "shop", 3, ManualClock(NOON)).sealed(UUID, b"ann", 0.0)
        assert Seals(secret).opened(given, "shop", 3) is not None


def test_an_id_is_the_same_with_and_without_its_seal() -> None:
    given = Sealer(b"secret", "shop", 3, ManualClock(NOON)).sealed("a.b", b"ann", 0.0)
    assert (without_seal(given), without_seal("a.b"), without_seal(UUID)) == ("a.b", "a.b", UUID)
