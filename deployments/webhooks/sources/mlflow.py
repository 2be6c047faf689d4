"""MLflow's registry: an alias or a tag that somebody sets on a version.

The signature as MLflow 3.17 makes it (`mlflow/webhooks/delivery.py`): `v1,` and the base64 of the HMAC-SHA256 of
`delivery id.unix seconds.body`, with the bytes of the secret as key. One webhook of MLflow's tells of all models.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from deployments.errors import BadInput
from deployments.webhooks.requests import Action, Headers, Nothing, NotTaken, Signed, Wish, check_fresh, only
from deployments.webhooks.signatures import check_signed, checked_id, digest, unix_time, wrong_signature

_ID, _TIME, _SIGNATURE = "x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"
_ALIAS, _TAG = "alias:", "tag:"
_MOST_DIGITS: Final = 9


class MLflow:
    """Rules are `alias:NAME`, `tag:KEY` and `tag:KEY=VALUE`."""

    name: Final = "mlflow"
    usual_rules: Final = (f"{_ALIAS}challenger",)

    def check_rule(self, rule: str) -> None:
        """See `Source`."""
        if not rule.startswith((_ALIAS, _TAG)) or not rule.partition(":")[2].strip():
            raise BadInput(f"{rule!r} is nothing that MLflow tells of: write alias:NAME, tag:KEY or tag:KEY=VALUE")

    def draw_key(self) -> str:
        """256 random bits as text."""
        return secrets.token_urlsafe(32)

    def verified(self, headers: Headers, body: bytes, keys: Sequence[str], now: datetime) -> Signed:
        """See `Source`."""
        delivery, seconds, signature = only(headers, _ID, _TIME, _SIGNATURE)
        sent_at = unix_time(seconds)
        check_fresh(sent_at, now)
        version, _, text = signature.partition(",")
        if version != "v1":
            raise wrong_signature()
        try:
            shown = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise wrong_signature() from None
        content = _content(checked_id(delivery), seconds, body)
        check_signed((digest(key.encode(), content) for key in keys), shown)
        return Signed(delivery, delivery, sent_at)

    def wish(self, payload: Mapping[str, Any], product: str, rules: Sequence[str], signed: Signed) -> Wish | Nothing:
        """See `Source`."""
        data = payload.get("data")
        if not isinstance(data, dict):
            raise NotTaken(422, "the body has no object data")
        if data.get("name") != product:
            return Nothing(f"it tells of another model than {product}")
        match payload.get("entity"), payload.get("action"):
            case "model_version_alias", "created":
                told = {f"{_ALIAS}{data.get('alias')}"}
            case "model_version_tag", "set":
                told = {f"{_TAG}{data.get('key')}={data.get('value')}", f"{_TAG}{data.get('key')}"}
            case _:
                return Nothing("it tells neither of an alias nor of a tag that was set")
        rule = next((rule for rule in rules if rule in told), None)
        if rule is None:
            return Nothing(f"this webhook starts something on {', '.join(rules)} only")
        version = _version(data.get("version"))
        return Wish(Action.ROLLOUT, version, rule, f"{rule} was set on v{version}", _moment(payload, signed))

    def sample(
        self, product: str, rules: Sequence[str], version: int, now: datetime
    ) -> tuple[Mapping[str, str], bytes]:
        """See `Source`."""
        kind, _, about = rules[0].partition(":")
        data = {"name": product, "version": str(version)}
        if kind == "alias":
            entity, action, data = "model_version_alias", "created", data | {"alias": about}
        else:
            key, _, value = about.partition("=")
            entity, action, data = "model_version_tag", "set", data | {"key": key, "value": value}
        body = {"entity": entity, "action": action, "timestamp": now.isoformat(), "data": data}
        return {_ID: str(uuid4()), _TIME: str(int(now.timestamp()))}, json.dumps(body).encode()

    def signature(self, headers: Mapping[str, str], body: bytes, key: str) -> Mapping[str, str]:
        """See `Source`."""
        made = digest(key.encode(), _content(headers[_ID], headers[_TIME], body))
        return {_SIGNATURE: f"v1,{base64.b64encode(made).decode()}"}


def _content(delivery: str, seconds: str, body: bytes) -> bytes:
    return f"{delivery}.{seconds}.".encode() + body


def _version(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS:
        return int(value)
    raise NotTaken(422, "the version in data is not a number as versions have")


def _moment(payload: Mapping[str, Any], signed: Signed) -> datetime:
    """When MLflow made the event: to the microsecond, where the header has seconds. Aware UTC."""
    try:
        moment = datetime.fromisoformat(str(payload.get("timestamp")))
    except ValueError:
        moment = signed.sent_at or datetime.min.replace(tzinfo=UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
