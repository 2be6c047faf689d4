"""People log in by an OpenID provider; whatever it or a third one could forge lets nobody in."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.access_control.openid import OpenId, provider_of
from deployments.clock import ManualClock
from deployments.errors import BadInput
from deployments.settings import Settings
from flows.entrypoints.control_service import login
from flows.entrypoints.control_service.app import make_app
from tests.advice import followed
from tests.oidc_provider import OidcProvider, drawn_key
from tests.unit.flows.access_scene import HOST, Scene, guarded_routes

ROLES = ("data=operator:shop,flights", "boss=admin", "data=viewer:bikeshare")


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    made = OidcProvider()
    yield made
    made.close()


class Login(Scene):
    """The control service whose people come by `provider`."""

    def __init__(self, folder: Path, provider: OidcProvider, **more: Any) -> None:
        super().__init__(folder)
        self.provider = provider
        self.identities.clock = self.clock = ManualClock(datetime.now(UTC))
        settings = Settings(oidc_issuer=provider.issuer, oidc_client_secret="hush+/%", oidc_roles=ROLES, **more)  # noqa: S106
        opened = OpenId(provider_of(settings))
        self.app = make_app([*guarded_routes(), *login.routes(self.access, lambda: opened)], self.access)

    def begin(self) -> str:
        """The address that the browser is led to."""
        answer = self.ask("/seatrial/login/provider")
        assert answer.status_code == 303, answer.text
        self._keep(answer)
        return answer.headers["location"]

    def come_back(self, query: dict[str, str], **headers: str) -> httpx.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        from_elsewhere = {"cookie": cookie, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        answer = self.ask("/seatrial/login/callback", headers=from_elsewhere | headers, params=query)
        self._keep(answer)
        return answer

    def whole(self) -> httpx.Response:
        return self.come_back(self.provider.lets_in(self.begin()))

    def _keep(self, answer: httpx.Response) -> None:
        for each in answer.headers.get_list("set-cookie"):
            if found := re.match(r"(\S+?)=([^;]*)", each):
                self.cookies[found[1]] = found[2]


@pytest.fixture
def browser(tmp_path: Path, provider: OidcProvider) -> Login:
    return Login(tmp_path, provider)


def test_whoever_the_provider_vouches_for_is_in_with_the_roles_of_his_groups(browser: Login) -> None:
    answer = browser.whole()
    assert answer.status_code == 200, answer.text
    assert 'location.replace("/seatrial/")' in answer.text
    assert browser.browse("/seatrial/all").json()["who"] == "ada@example.org (OIDC)"
    assert browser.browse("/seatrial/of/shop", "POST", headers={"x-csrf-token": browser.csrf()}).status_code == 200
    assert browser.browse("/seatrial/of/bikeshare", "POST", headers={"x-csrf-token": browser.csrf()}).status_code == 403
    assert browser.browse("/seatrial/of/other").status_code == 404


def test_the_code_is_redeemed_with_the_verifier_and_the_secret_and_both_stay_here(browser: Login) -> None:
    address = browser.begin()
    browser.come_back(browser.provider.lets_in(address))
    (redeemed,) = browser.provider.redeemed
    assert redeemed["redirect_uri"] == f"http://{HOST}/seatrial/login/callback"
    assert base64.b64decode(redeemed["login"].removeprefix("Basic ")) == b"seatrial:hush%2B%2F%25"
    assert "hush" not in address
    assert redeemed["code_verifier"] not in address


def test_the_login_page_offers_it_only_where_there_is_a_provider(browser: Login, tmp_path: Path) -> None:
    assert "/seatrial/login/provider" in browser.ask("/seatrial/login").text
    (tmp_path / "other").mkdir()
    assert "/seatrial/login/provider" not in Scene(tmp_path / "other").ask("/seatrial/login").text


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"exp": "soon"},
    ],
    ids=str,
)
def test_a_token_of_another_login_client_provider_or_time_lets_nobody_in(
    browser: Login, claims: dict[str, Any]
) -> None:
    browser.provider.claims = claims
    answer = browser.whole()
    assert answer.status_code == 403
    assert "cannot be trusted" in answer.text
    assert browser.browse("/seatrial/all").status_code == 401


def _unsigned(provider: OidcProvider, header: dict[str, str]) -> str:
    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    claims = {"iss": provider.issuer, "aud": "seatrial", "sub": "1", "exp": 2**40, "nonce": provider.asked["nonce"]}
    return f"{part(header)}.{part(claims)}."


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256", "kid": "two"}, {}], ids=str)
def test_a_token_that_nobody_signed_lets_nobody_in(browser: Login, header: dict[str, str]) -> None:
    back = browser.provider.lets_in(browser.begin())
    browser.provider.token = _unsigned(browser.provider, header)
    assert browser.come_back(back).status_code == 403
    assert browser.browse("/seatrial/all").status_code == 401


def test_a_token_under_another_key_lets_nobody_in(browser: Login) -> None:
    browser.provider.signer = drawn_key("another")
    assert browser.whole().status_code == 403


def test_a_key_that_the_provider_has_since_is_asked_for(browser: Login) -> None:
    assert browser.whole().status_code == 200
    browser.provider.key = browser.provider.signer = drawn_key("two", "two")
    assert browser.whole().status_code == 403  # asked for once a minute
    browser.clock.sleep(timedelta(minutes=1))
    assert browser.whole().status_code == 200


def test_a_key_that_nobody_knows_is_left_alone(browser: Login) -> None:
    browser.provider.odd_keys = [{"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"}, {"kty": "odd"}, "no key"]
    assert browser.whole().status_code == 200


def test_a_login_that_another_browser_began_lets_nobody_in(browser: Login) -> None:
    back = browser.provider.lets_in(browser.begin())
    browser.cookies.clear()
    assert browser.come_back(back).status_code == 400
    browser.begin()
    assert browser.come_back(back).status_code == 400  # of the login before
    assert browser.come_back({"code": "x"}).status_code == 400
    assert browser.provider.redeemed == []


def test_a_login_that_took_too_long_is_begun_anew(browser: Login) -> None:
    back = browser.provider.lets_in(browser.begin())
    browser.clock.sleep(timedelta(minutes=11))
    answer = browser.come_back(back)
    assert answer.status_code == 400
    assert "This login was not begun here, or took too long: begin it again." in answer.text
    browser.clock = browser.identities.clock = ManualClock(datetime.now(UTC))
    assert browser.whole().status_code == 200


def test_somebody_without_a_role_is_told_who_can_help(browser: Login) -> None:
    browser.provider.claims = {"groups": ["<b>others</b>"], "email": "<script>eve@example.org"}
    answer = browser.whole()
    assert answer.status_code == 403
    assert followed(" has no role here: an admin maps one of his groups in SEATRIAL_OIDC_ROLES") in answer.text.replace(
        "&#x27;", "'"
    )
    assert "<script>eve" not in answer.text
    browser.provider.claims = {"groups": "boss"}
    assert browser.whole().status_code == 200
    assert browser.browse("/seatrial/all", "POST", headers={"x-csrf-token": browser.csrf()}).status_code == 200


def test_an_address_that_nobody_verified_is_no_name(browser: Login) -> None:
    browser.provider.claims = {"email_verified": False}
    browser.whole()
    assert browser.browse("/seatrial/all").json()["who"] == "42 (OIDC)"


def test_while_the_provider_is_away_tokens_go_on(browser: Login) -> None:
    browser.provider.close()
    answer = browser.ask("/seatrial/login/provider")
    assert answer.status_code == 503
    assert "nobody logs in by it, tokens go on" in answer.text
    assert browser.ask("/seatrial/all", token=browser.machine_token).status_code == 200
    browser.provider.server.server_close()


@pytest.mark.parametrize(
    "lies",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
    ids=str,
)
def test_what_a_provider_publishes_is_looked_at(browser: Login, lies: dict[str, Any]) -> None:
    browser.provider.lies = lies
    answer = browser.ask("/seatrial/login/provider")
    assert answer.status_code == 503
    assert "location" not in answer.headers
    if "issuer" in lies:
        assert followed(": correct SEATRIAL_OIDC_ISSUER") in answer.text
    browser.provider.lies = {}
    assert browser.whole().status_code == 200


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"host": f"{HOST}.evil.example"}])
def test_by_another_name_nobody_is_led_anywhere(browser: Login, headers: dict[str, str]) -> None:
    assert browser.ask("/seatrial/login/provider", headers=headers).status_code == 403
    assert browser.come_back({"code": "x", "state": "y"}, **headers).status_code == 403


def test_settings_that_lack_something_say_what() -> None:
    with pytest.raises(BadInput) as lacking:
        provider_of(Settings(oidc_issuer="https://login.example.org"))
    assert followed("SEATRIAL_OIDC_ISSUER needs SEATRIAL_OIDC_CLIENT_SECRET, as the provider drew it") in str(
        lacking.value
    )
    secret: Any = "hush"  # noqa: S105
    found = provider_of(Settings(oidc_issuer="https://login.example.org", oidc_client_secret=secret, oidc_roles=ROLES))
    assert set(found.roles) == {"data", "boss"}
    assert "hush" not in repr(found)
    with pytest.raises(BadInput, match="https"):
        provider_of(Settings(oidc_issuer="http://login.example.org", oidc_client_secret=secret))
    with pytest.raises(BadInput) as none:
        provider_of(Settings())
    assert followed("people log in by no provider: SEATRIAL_OIDC_ISSUER names one") in str(none.value)
    assert hash(Settings(oidc_roles=ROLES)) is not None  # processes keep what is made by their settings
