"""What is looked at before others reach the gateway: where it listens, its certificate, the keys of products."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.errors import BadInput, NotFound, PlatformUnreachable
from deployments.local_platform import gateway, lifecycle
from deployments.local_platform.gateway_keys import GatewayKeys
from deployments.local_platform.public_gateway import (
    bring,
    bring_certificate,
    bring_keys,
    check_listening,
    listens_to_others,
    read_pair,
)
from deployments.routers.envoy import read_rate
from deployments.routers.envoy.config_files import EnvoyFiles, write_document
from deployments.routers.envoy.listener import bootstrap
from deployments.settings import Settings, current
from flows.entrypoints.cli import gateway_keys as commands
from tests.advice import followed
from tests.certificates import pair
from tests.ports import free_port

DAY = timedelta(days=1)


class Place:
    """A home, and files of a certificate beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.chain, self.key = folder, folder / "chain.pem", folder / "key.pem"

    def put(self, chain: str, key: str, mode: int = 0o600) -> "Place":
        self.chain.write_text(chain)
        self.key.write_text(key)
        self.key.chmod(mode)
        return self

    def settings(self, **more: Any) -> Settings:
        pair_of = {"public_certificate": self.chain, "public_private_key": self.key}
        return Settings(**{"home": self.folder / "home", "public_host": "127.0.0.1", **pair_of, **more})

    @property
    def taken(self) -> bytes:
        """What Envoy is given."""
        return (self.folder / "home" / "gateway" / "certificate.json").read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.settings().private_home()
    yield made.put(*pair())


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_nothing_is_asked(host: str) -> None:
    check_listening(Settings(gateway_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "models.example"])  # noqa: S104
def test_elsewhere_the_gateway_does_not_listen_without_tls_and_keys_unless_that_is_said(host: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_listening(Settings(gateway_host=host))
    advised = followed("or set SEATRIAL_GATEWAY_OPEN=true if that is meant")
    assert advised in str(refused.value)
    check_listening(Settings(gateway_host=host, gateway_open=True))


def test_a_good_pair_is_taken_and_a_new_one_replaces_it(place: Place) -> None:
    assert bring_certificate(place.settings(), now())
    assert not bring_certificate(place.settings(), now())
    place.put(*pair("new"))
    assert bring_certificate(place.settings(), now())


BAD = [
    (lambda at: at.chain.unlink(), "chain.pem cannot be read"),
    (lambda at: at.key.unlink(), "key.pem cannot be read"),
    (lambda at: at.key.chmod(0o644), "`chmod 600` it"),
    (lambda at: at.key.chmod(0o640), "others may read the private key"),
    (lambda at: at.put(pair()[0], pair()[1]), "no pair"),
    (lambda at: at.put("nonsense", at.key.read_text()), "no pair"),
    (lambda at: at.put(*pair(begins=-2 * DAY, ends=-DAY)), "put a new one there"),
    (lambda at: at.put(*pair(begins=DAY, ends=2 * DAY)), "see whether the clock is right"),
    (lambda at: at.chain.write_bytes(b"\xff\xfe"), "cannot be read"),
]


@pytest.mark.parametrize(("spoil", "why"), BAD, ids=[why for _, why in BAD])
def test_a_bad_pair_is_told_and_the_one_before_stays(place: Place, spoil: Any, why: str) -> None:
    bring(place.settings(), now())
    before = place.taken
    spoil(place)
    with pytest.raises(BadInput, match=why):
        read_pair(place.settings(), now())
    bring(place.settings(), now())  # a gateway that starts anew has users
    assert place.taken == before


def test_without_any_pair_the_first_start_says_what_is_missing(place: Place) -> None:
    place.key.unlink()
    with pytest.raises(BadInput) as missing:
        bring(place.settings(), now())
    how = followed("set SEATRIAL_PUBLIC_CERTIFICATE and SEATRIAL_PUBLIC_PRIVATE_KEY to files with the pair, as PEM")
    assert how in str(missing.value)
    with pytest.raises(BadInput) as none:
        bring(place.settings(public_certificate=None), now())
    assert followed("SEATRIAL_PUBLIC_HOST needs a certificate: ") in str(none.value)
    place.put(*pair())
    bring(place.settings(), now())


def test_the_advice_on_a_pair_makes_it_good(place: Place) -> None:
    place.key.chmod(0o644)
    with pytest.raises(BadInput) as open_key:
        read_pair(place.settings(), now())
    assert "others may read the private key " in str(open_key.value)
    place.key.chmod(0o600)
    read_pair(place.settings(), now())
    place.put(*pair(begins=DAY, ends=2 * DAY))
    with pytest.raises(BadInput) as early:
        read_pair(place.settings(), now())
    assert followed(" UTC on: see whether the clock is right") in str(early.value)
    read_pair(place.settings(), now() + DAY)
    place.put(*pair(begins=-2 * DAY, ends=-DAY))
    with pytest.raises(BadInput) as over:
        read_pair(place.settings(), now())
    assert " UTC: put a new one there" in str(over.value)
    place.put(*pair())
    read_pair(place.settings(), now())


def test_a_key_that_is_encrypted_asks_nobody_for_its_password(place: Place) -> None:
    from cryptography.hazmat.primitives import serialization

    chain, key = pair()
    locked = serialization.load_pem_private_key(key.encode(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hush"),
    )
    place.put(chain, locked.decode())
    with pytest.raises(BadInput) as locked_up:
        read_pair(place.settings(), now())
    assert " is encrypted: put one without a password there" in str(locked_up.value)
    place.put(chain, key)
    read_pair(place.settings(), now())


def test_a_public_port_that_is_taken_is_named_with_its_holder() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PlatformUnreachable) as taken:
            gateway._check_free("127.0.0.1", port)
    assert followed(": set SEATRIAL_PUBLIC_PORT to another") in str(taken.value)
    gateway._check_free("127.0.0.1", free_port())


def test_a_gateway_that_was_started_without_others_is_known(place: Place) -> None:
    settings = place.settings()
    files = EnvoyFiles(settings.home / "gateway", settings.run_folder)
    assert not listens_to_others(settings)
    files.folder.mkdir()
    for public, listens in ((None, False), (("127.0.0.1", settings.public_port), True), (("127.0.0.1", 1), False)):
        write_document(files.bootstrap, bootstrap(files, "127.0.0.1", 8080, public))
        assert listens_to_others(settings) == listens
        said = lifecycle._unless_there(settings)
        advised = followed("(from the next start on: `seatrial down`, then `seatrial up`; nobody is served in between)")
        assert (advised in said) == (not listens)


def test_keys_are_made_and_revoked_each_for_itself(tmp_path: Path) -> None:
    keys = GatewayKeys(tmp_path / "keys")
    first, second = (keys.create("shop", name, now()) for name in ("web", "app"))
    other = keys.create("cart", "web", now())
    assert (tmp_path / "keys" / "gateway-shop").stat().st_mode & 0o077 == 0
    assert {each.secret for each in keys.all()} == {first.secret, second.secret, other.secret}
    keys.revoke("shop", "web")
    assert [each.name for each in keys.of("shop")] == ["app"]
    keys.revoke("shop", "app")
    assert keys.of("shop") == ()
    assert [each.product for each in keys.all()] == ["cart"]
    assert first.secret not in repr(first)


def test_what_cannot_be_a_key_is_refused_with_what_can(tmp_path: Path) -> None:
    keys = GatewayKeys(tmp_path)
    keys.create("shop", "web", now())
    with pytest.raises(BadInput) as taken:
        keys.create("shop", "web", now())
    assert " already: take another name, such as " in str(taken.value)
    keys.create("shop", "web-2", now())
    with pytest.raises(NotFound, match="its keys are web, web-2"):
        keys.revoke("shop", "nobody")
    for name in ("", "a b", "../x", "a\nb"):
        with pytest.raises(BadInput):
            keys.create("shop", name, now())
    (tmp_path / "gateway-shop").write_text("{")
    with pytest.raises(BadInput) as damaged:
        keys.of("shop")
    assert followed(" is damaged: remove it, and make the keys again") in str(damaged.value)
    (tmp_path / "gateway-shop").unlink()
    keys.create("shop", "web", now())


@pytest.mark.parametrize("product", ["specs/flights", "../x", "a/../../stray", "Shop", "", "specs/flights.yaml/x"])
def test_what_is_no_product_gets_no_key_and_spoils_nothing(place: Place, product: str) -> None:
    settings = place.settings()
    keys = GatewayKeys(settings.keys_folder)
    keys.create("shop", "web", now())
    before = sorted(place.folder.rglob("*"))
    with pytest.raises(BadInput, match="no name of a product"):
        keys.create(product, "web", now())
    with pytest.raises(NotFound):
        keys.revoke(product, "web")
    assert sorted(place.folder.rglob("*")) == before
    (settings.keys_folder / "gateway-stray").mkdir()
    bring(settings, now())
    assert [each.product for each in keys.all()] == ["shop"]


def test_whoever_makes_a_key_changes_no_rate(place: Place) -> None:
    GatewayKeys(place.settings().keys_folder).create("shop", "web", now())
    bring(place.settings(public_rate=5), now())
    bring_keys(place.settings())  # from a shell without the platform's settings
    assert read_rate(EnvoyFiles(place.settings().home / "gateway", place.settings().run_folder)) == 5


def test_the_commands_show_a_key_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_HOME", str(place.folder / "home"))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(commands.app, ["key", *arguments], catch_exceptions=False)

    nothing = run("list").stdout
    assert followed("There is no key yet: `seatrial key create PRODUCT NAME` makes one") in nothing
    made = run("create", "shop", "web")
    secret = made.stdout.strip()
    assert len(secret) == 43
    assert followed(": SEATRIAL_PUBLIC_HOST says where others are") in made.stderr
    monkeypatch.setenv("SEATRIAL_PUBLIC_HOST", "127.0.0.1")
    current.cache_clear()
    assert "SEATRIAL_PUBLIC_HOST" not in run("create", "shop", "app").stderr
    assert secret in (place.folder / "home" / "gateway" / "keys.json").read_text()
    listed = run("list", "--json").stdout
    assert secret not in listed
    assert [each["name"] for each in json.loads(listed)["keys"]] == ["web", "app"]
    assert "web" in run("list").stdout
    assert "good no more" in run("revoke", "shop", "web").stdout
    assert secret not in (place.folder / "home" / "gateway" / "keys.json").read_text()
