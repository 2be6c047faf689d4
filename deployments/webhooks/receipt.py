"""From a signed request to a delivery: every check in order, cheap ones first. Nothing is stored here."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from deployments.errors import NotFound
from deployments.printable import in_one_line
from deployments.webhooks.hooks import Hooks
from deployments.webhooks.inbox import Delivery, mark_of
from deployments.webhooks.requests import Headers, Nothing, NotTaken
from deployments.webhooks.strict_json import parse_object

_LONGEST_REASON: Final = 200


def receive(
    hooks: Hooks, source: str, product: str, headers: Headers, body: bytes, now: datetime
) -> Delivery | Nothing:
    """What the holder of a key of this webhook asks for; `body` is as it came.

    Raises `NotTaken` for whatever is not signed, fresh, well formed and allowed, `BadInput` where the webhook's own
    file cannot be used.
    """
    try:
        hook = hooks.find(source, product)
    except NotFound:
        raise NotTaken(404, f"there is no webhook at /seatrial/webhooks/{source[:16]}/{product[:40]}") from None
    signed = hook.spoken.verified(headers, body, hook.secrets(now), now)
    wish = hook.spoken.wish(parse_object(body), product, hook.rules, signed)
    if isinstance(wish, Nothing):
        return wish
    mark = mark_of(source, product, signed.identity)
    wish = replace(wish, reason=in_one_line(wish.reason)[:_LONGEST_REASON])
    return Delivery(mark, source, product, signed.delivery, wish, wish.at, now)
