"""Whoever signs as Standard Webhooks say (https://www.standardwebhooks.com): a CI, another service, a script.

The body is `{"type": "release"}` or `{"type": "rollout", "data": {"version": 3}}`; `timestamp` and `data.product` may
stand there, too. The product is that of the address, whose key the sender must have.
"""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from deployments.errors import BadInput
from deployments.webhooks.requests import Action, Headers, Nothing, NotTaken, Signed, Wish, check_fresh, only
from deployments.webhooks.signatures import checked_id, unix_time, wrong_signature

_ID, _TIME, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_NAMES: Final = frozenset({"type", "timestamp", "data"})
_LARGEST_VERSION: Final = 10**9
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Generic:
    """Rules are the actions: `release` and `rollout`."""

    name: Final = "generic"
    usual_rules: Final = tuple(Action)

    def check_rule(self, rule: str) -> None:
        """See `Source`."""
        if rule not in tuple(Action):
            raise BadInput(f"{rule!r} is nothing that a webhook may start: write one of {', '.join(Action)}")

    def draw_key(self) -> str:
        """256 random bits, as the libraries of Standard Webhooks read them."""
        return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"

    def verified(self, headers: Headers, body: bytes, keys: Sequence[str], now: datetime) -> Signed:
        """See `Source`."""
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError

        delivery, seconds, _ = only(headers, _ID, _TIME, _SIGNATURE)
        sent_at = unix_time(seconds)
        check_fresh(sent_at, now)
        checked_id(delivery)
        for key in keys:
            try:
                Webhook(key).verify(body, dict(headers), json_parse=False)
            except (WebhookVerificationError, ValueError):  # also of base64 and of UTF-8
                continue
            return Signed(delivery, delivery, sent_at)
        raise wrong_signature()

    def wish(self, payload: Mapping[str, Any], product: str, rules: Sequence[str], signed: Signed) -> Wish | Nothing:
        """See `Source`."""
        data = payload.get("data", {})
        if not isinstance(data, dict) or not payload.keys() <= _NAMES:
            raise NotTaken(422, "the body holds something else than type, timestamp and an object data")
        action = payload.get("type")
        if action not in rules or not isinstance(action, str):
            raise NotTaken(422, f"type is none of what this webhook may start: {', '.join(rules)}")
        wanted = Action(action)
        names = {"product", "version"} if wanted is Action.ROLLOUT else {"product"}
        if not data.keys() <= names:
            raise NotTaken(422, f"data of {wanted} holds something else than {' and '.join(sorted(names))}")
        if data.get("product", product) != product:
            raise NotTaken(422, f"the product in data is not {product}, whose webhook this is")
        version = _version(data.get("version")) if wanted is Action.ROLLOUT else None
        reason = f"{wanted} of v{version}" if version else wanted.value
        return Wish(wanted, version, wanted, f"{reason} was asked for", signed.sent_at or _NEVER)

    def sample(
        self, product: str, rules: Sequence[str], version: int, now: datetime
    ) -> tuple[Mapping[str, str], bytes]:
        """See `Source`."""
        data: dict[str, object] = {"product": product}
        if rules[0] == Action.ROLLOUT:
            data["version"] = version
        body = {"type": rules[0], "timestamp": now.isoformat(), "data": data}
        return {_ID: f"msg_{uuid4().hex}", _TIME: str(int(now.timestamp()))}, json.dumps(body).encode()

    def signature(self, headers: Mapping[str, str], body: bytes, key: str) -> Mapping[str, str]:
        """See `Source`."""
        from standardwebhooks.webhooks import Webhook

        at = unix_time(headers[_TIME])
        return {_SIGNATURE: Webhook(key).sign(headers[_ID], at, body.decode())}


def _version(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST_VERSION:
        return value
    raise NotTaken(422, "the version in data is not a number as versions have")
