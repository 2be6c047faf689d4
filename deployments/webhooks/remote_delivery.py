"""A signed request for a release, from a machine that is not the platform's: a CI that has a product's key."""

import base64
import json
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from deployments.clock import Clock
from deployments.errors import BadInput, PlatformUnreachable
from deployments.proxy_environment import LOOPBACK
from deployments.webhooks.requests import Action
from deployments.webhooks.sources.generic import Generic

_SECONDS: Final = 15.0
_PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 15))
_LONGEST_PAUSE: Final = 60
_LATER: Final = frozenset({429, 500, 502, 503, 504})
_SHOWN: Final = 300
# Of Standard Webhooks.
_PREFIX: Final = "whsec_"
_BYTES: Final = 24


def known_keys(text: str) -> dict[str, str]:
    """Keys by product, of JSON such as `{"flights": "whsec_…"}`. Raises `BadInput`, in which nothing of it is shown."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found.values()):
        raise BadInput('SEATRIAL_WEBHOOK_KEYS is not JSON of products and keys: write {"flights": "whsec_…"}')
    return found


def deliver(
    product: str,
    gateway: str,
    key: str,
    delivery_id: str,
    clock: Clock,
    transport: httpx.BaseTransport | None = None,
) -> dict[str, Any]:
    """What the platform at `gateway` answered to the wish for a release of `product`, as it answers it.

    The same `delivery_id` starts one release however often it is sent, so it is sent again, for half a minute or so,
    where nobody answers or is asked later; each time with a fresh signature. Raises `BadInput` for what is refused, for
    a key that is none, and for an address without TLS that is not of this machine; `PlatformUnreachable` in the end.
    """
    _check_key(key)
    address = f"{_checked(gateway)}/seatrial/webhooks/generic/{product}"
    body = json.dumps({"type": Action.RELEASE.value, "data": {"product": product}}).encode()
    # No redirect is followed: the signature is for this address.
    with httpx.Client(timeout=_SECONDS, follow_redirects=False, transport=transport) as client:
        for pause in (*_PAUSES, None):
            sent = _sent(client, address, _signed(body, key, delivery_id, clock), body)
            if isinstance(sent, httpx.Response) and sent.status_code not in _LATER:
                return _told(sent, product)
            if pause is not None:
                clock.sleep(_wanted_pause(sent, pause))
    said = f"HTTP {sent.status_code}" if isinstance(sent, httpx.Response) else sent
    raise PlatformUnreachable(f"the gateway at {gateway} did not take the delivery for {product} ({said})")


def _checked(gateway: str) -> str:
    address = urlsplit(gateway)
    if address.scheme not in {"http", "https"} or not address.hostname or address.username or address.query:
        raise BadInput("--url: write the gateway's address as this machine reaches it, such as https://models.example")
    if address.scheme == "http" and address.hostname not in LOOPBACK:
        raise BadInput(f"--url: {address.hostname} is another machine: send over https://")
    return gateway.rstrip("/")


def _check_key(key: str) -> None:
    try:
        is_one = key.startswith(_PREFIX) and len(base64.b64decode(key.removeprefix(_PREFIX), validate=True)) >= _BYTES
    except ValueError:
        is_one = False
    if not is_one:
        raise BadInput("the key is none that `seatrial webhook create generic` shows: it begins with whsec_")


def _signed(body: bytes, key: str, delivery_id: str, clock: Clock) -> dict[str, str]:
    headers = {"webhook-id": delivery_id, "webhook-timestamp": str(int(clock.now().timestamp()))}
    return {**headers, **Generic().signature(headers, body, key), "content-type": "application/json"}


def _sent(client: httpx.Client, address: str, headers: dict[str, str], body: bytes) -> httpx.Response | str:
    """The answer; what went wrong where there is none."""
    try:
        return client.post(address, content=body, headers=headers)
    except httpx.HTTPError as error:
        return type(error).__name__


def _wanted_pause(sent: httpx.Response | str, pause: timedelta) -> timedelta:
    """What the answer asks for, within reason."""
    wanted = "" if isinstance(sent, str) else sent.headers.get("retry-after", "")
    return timedelta(seconds=min(int(wanted), _LONGEST_PAUSE)) if wanted.isdecimal() else pause


def _told(answer: httpx.Response, product: str) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = {"error": answer.text[:_SHOWN]}
    if not isinstance(content, dict):
        content = {"error": str(content)[:_SHOWN]}
    if answer.is_success:
        return {"product": product, "status": answer.status_code, "accepted": content.get("accepted") is True} | {
            name: str(content[name])[:_SHOWN] for name in ("delivery", "why") if name in content
        }
    why = str(content.get("error") or content.get("detail") or "")[:_SHOWN]
    raise BadInput(f"the delivery for {product} was refused: HTTP {answer.status_code} {why}".rstrip())
