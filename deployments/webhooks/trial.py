"""One real delivery, sent as its source would send it, and what became of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx

from deployments.clock import Clock
from deployments.errors import PlatformUnreachable
from deployments.webhooks.hooks import Hook
from deployments.webhooks.inbox import Delivery, Inbox, State, mark_of

_LOOK_EVERY: Final = timedelta(milliseconds=200)
_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What was answered, the mark of the delivery, and how long the answer took."""

    status: int
    content: Any
    mark: str
    took: timedelta


def send(hook: Hook, gateway: str, version: int, clock: Clock) -> Sent:
    """By the newest key of the webhook. Raises `PlatformUnreachable` where the gateway does not answer."""
    now = clock.now()
    headers, body = hook.spoken.sample(hook.product, hook.rules, version, now)
    secret = hook.keys[0].secret
    shown = {**headers, **hook.spoken.signature(headers, body, secret)}
    signed = hook.spoken.verified(shown, body, (secret,), now)
    began = clock.monotonic()
    try:
        answer = httpx.post(
            f"{gateway}{hook.path}",
            content=body,
            headers=shown | {"content-type": "application/json"},
            timeout=_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise PlatformUnreachable(f"the gateway at {gateway} does not answer ({type(error).__name__})") from None
    took = timedelta(seconds=clock.monotonic() - began)
    try:
        content = answer.json()
    except ValueError:
        content = {"error": answer.text[:200]}
    return Sent(answer.status_code, content, mark_of(hook.source, hook.product, signed.identity), took)


def what_became(inbox: Inbox, mark: str, patience: timedelta, clock: Clock) -> Delivery | None:
    """The delivery, once it waits no longer, or as it is after `patience`; None if it was not accepted."""
    ends = clock.monotonic() + patience.total_seconds()
    while True:
        found = inbox.find(mark)
        if found is None or found.state is not State.WAITING or clock.monotonic() > ends:
            return found
        clock.sleep(_LOOK_EVERY)
