"""People whom an OpenID provider vouches for (OpenID Connect Core 1.0: code flow, with PKCE, RFC 7636).

The provider says who somebody is and to which groups he belongs; the settings say which role a group has.
"""

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet

from deployments.access_control.attempts import Attempt
from deployments.access_control.principal import ALL, Principal
from deployments.access_control.roles import Role
from deployments.errors import BadInput, PlatformUnreachable, Refused
from deployments.printable import in_one_line
from deployments.settings import Settings

SCOPES: Final = "openid email profile"
# Signed by the provider's own key; never by none, nor by a secret that the client knows as well.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_KEPT_FOR: Final = timedelta(hours=1)
_ASKED_AGAIN_AFTER: Final = timedelta(minutes=1)
_LEEWAY_SECONDS: Final = 60
_SECONDS: Final = 5.0
_MOST_BYTES: Final = 512 * 1024
_LONGEST_NAME: Final = 120


@dataclass(frozen=True, slots=True)
class Provider:
    """Which provider, as what client of it, and the roles of each group, by product or for `*`."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    groups_claim: str
    roles: Mapping[str, Mapping[str, Role]]


class OpenId:
    """Asks one provider. What it publishes of itself is asked once an hour.

    Raises `PlatformUnreachable` where it does not answer, `BadInput` where what it publishes cannot be used, and
    `Refused` for somebody whom it does not vouch for, or who has no role here.
    """

    def __init__(self, provider: Provider, transport: httpx.BaseTransport | None = None) -> None:
        self._provider = provider
        self._client = httpx.Client(timeout=_SECONDS, trust_env=True, transport=transport, follow_redirects=False)
        self._published: tuple[datetime, Mapping[str, Any], KeySet] | None = None
        self._turn = threading.Lock()

    def address(self, attempt: Attempt, redirect_uri: str, now: datetime) -> str:
        """Where the browser is led to."""
        about, _ = self._about(now)
        asked = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPES,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        place = str(about["authorization_endpoint"])
        return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(asked)}"

    def principal(self, attempt: Attempt, code: str, redirect_uri: str, now: datetime) -> Principal:
        """Who came back with `code`, and what he may."""
        about, keys = self._about(now)
        claims = self._claims(
            self._id_token(str(about["token_endpoint"]), attempt, code, redirect_uri), attempt, keys, now
        )
        grants = self._grants(claims.get(self._provider.groups_claim))
        named = claims.get("email") if claims.get("email_verified") is not False else None
        who = in_one_line(str(named or claims.get("preferred_username") or claims["sub"]))[:_LONGEST_NAME]
        if not grants:
            raise Refused(f"{who} has no role here: an admin maps one of his groups in SEATRIAL_OIDC_ROLES")
        return Principal(f"{who} (OIDC)", grants)

    def _id_token(self, place: str, attempt: Attempt, code: str, redirect_uri: str) -> str:
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        answer = self._asked("POST", place, sent)
        document = _parsed(answer) if answer.is_success else {}
        if not isinstance(token := document.get("id_token"), str):
            raise Refused("the provider does not take this login for one of its own: log in again")
        return token

    def _claims(self, token: str, attempt: Attempt, keys: KeySet, now: datetime) -> CodeIDToken:
        try:
            found = self._decoded(token, keys, now)
            claims = CodeIDToken(
                found.claims,
                found.header,
                {
                    "iss": {"essential": True, "value": self._provider.issuer},
                    "aud": {"essential": True, "value": self._provider.client_id},
                    "exp": {"essential": True},
                    "sub": {"essential": True},
                    "nonce": {"essential": True, "value": attempt.nonce},
                },
                {"client_id": self._provider.client_id, "nonce": attempt.nonce},
            )
            claims.validate(now=round(now.timestamp()), leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Refused(f"what the provider says of this login cannot be trusted ({type(error).__name__})") from None
        except Exception as error:  # authlib's errors of claims have a root of their own
            if type(error).__module__.partition(".")[0] not in {"authlib", "joserfc"}:
                raise
            raise Refused(f"what the provider says of this login cannot be trusted ({type(error).__name__})") from None
        return claims

    def _decoded(self, token: str, keys: KeySet, now: datetime) -> jwt.Token:
        """By a key that is known, or one that the provider has had since: those are asked for once a minute."""
        try:
            return jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        except InvalidKeyIdError:
            with self._turn:
                if self._published is None or now - self._published[0] < _ASKED_AGAIN_AFTER:
                    raise
                self._published = None
            return jwt.decode(token, self._about(now)[1], algorithms=list(ALGORITHMS))

    def _grants(self, groups: object) -> dict[str, Role]:
        """The highest role that any of his groups has, of each product."""
        belongs = {groups} if isinstance(groups, str) else set(groups) if isinstance(groups, list) else set()
        found: dict[str, Role] = {}
        for group, given in self._provider.roles.items():
            if group not in belongs:
                continue
            for product, role in given.items():
                known = found.get(product)
                if known is None or list(Role).index(role) > list(Role).index(known):
                    found[product] = role
        return found

    def _about(self, now: datetime) -> tuple[Mapping[str, Any], KeySet]:
        with self._turn:
            if self._published is None or not timedelta(0) <= now - self._published[0] < _KEPT_FOR:
                about = self._read(f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration")
                if about.get("issuer") != self._provider.issuer:
                    raise BadInput(
                        f"{self._provider.issuer} says that it is {about.get('issuer')!r}: correct SEATRIAL_OIDC_ISSUER"
                    )
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    _check_place(name, about.get(name))
                keys = _keys(self._read(str(about["jwks_uri"])))
                if not keys.keys:
                    raise BadInput(f"of the keys of {self._provider.issuer} none can be used")
                self._published = now, about, keys
            return self._published[1], self._published[2]

    def _read(self, place: str) -> dict[str, Any]:
        answer = self._asked("GET", place)
        if not answer.is_success:
            raise PlatformUnreachable(f"{place} answers {answer.status_code}: nobody logs in by it, tokens go on")
        return _parsed(answer)

    def _asked(self, method: str, place: str, form: Mapping[str, str] | None = None) -> httpx.Response:
        # Each part as in a form (RFC 6749, 2.3.1).
        named = (quote_plus(self._provider.client_id), quote_plus(self._provider.client_secret))
        login = httpx.BasicAuth(*named) if form is not None else None
        try:
            with self._client.stream(method, place, data=form, auth=login) as answer:
                size = 0
                parts = []
                for part in answer.iter_bytes():
                    size += len(part)
                    if size > _MOST_BYTES:
                        raise PlatformUnreachable(f"{self._provider.issuer} answers more than it should")
                    parts.append(part)
        except httpx.HTTPError as error:
            raise PlatformUnreachable(
                f"{self._provider.issuer} does not answer ({type(error).__name__}): nobody logs in by it, tokens go on"
            ) from None
        return httpx.Response(answer.status_code, content=b"".join(parts))


def provider_of(settings: Settings) -> Provider:
    """As the settings name it. Raises `BadInput` where something is missing."""
    if settings.oidc_issuer is None:
        raise BadInput("people log in by no provider: SEATRIAL_OIDC_ISSUER names one")
    secret = settings.oidc_client_secret.get_secret_value()
    if not secret:
        raise BadInput("SEATRIAL_OIDC_ISSUER needs SEATRIAL_OIDC_CLIENT_SECRET, as the provider drew it")
    _check_place("issuer", settings.oidc_issuer)
    roles: dict[str, dict[str, Role]] = {}
    for each in settings.oidc_roles:
        group, _, given = each.rpartition("=")
        role, _, products = given.partition(":")
        roles.setdefault(group, {}).update(dict.fromkeys(products.split(",") if products else (ALL,), Role(role)))
    return Provider(settings.oidc_issuer, settings.oidc_client_id, secret, settings.oidc_groups_claim, roles)


def _keys(published: Mapping[str, Any]) -> KeySet:
    """The keys that can be used; others are left alone (RFC 7517, 5)."""
    found = []
    for each in published.get("keys") or ():
        with suppress(JoseError, ValueError, KeyError, TypeError):
            found.append(JWKRegistry.import_key(each))
    return KeySet(found)


def _check_place(name: str, place: object) -> None:
    parts = urlsplit(place) if isinstance(place, str) else None
    if parts is None or not (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"})
    ):
        raise BadInput(f"the provider's {name} is {place!r}: it must be an https address")


def _parsed(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}
