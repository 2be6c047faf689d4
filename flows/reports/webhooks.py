"""The webhooks that there are, and what became of what came by them, as JSON. Nothing secret stands in it."""

from typing import Any

from deployments.webhooks.hooks import Hook
from deployments.webhooks.inbox import Delivery


def webhook_report(hook: Hook) -> dict[str, Any]:
    """One webhook; `keys_until` is when each of its keys is good no more, null for never."""
    good = [key.until for key in hook.keys]
    return {"source": hook.source, "product": hook.product, "on": hook.rules, "path": hook.path, "keys_until": good}


def delivery_report(each: Delivery) -> dict[str, Any]:
    """One delivery; `state` says what became of it, `why` what it waits for or why there is no run."""
    return {
        "delivery": each.delivery,
        "product": each.product,
        "who": each.who,
        "action": each.wish.action,
        "version": each.wish.version,
        "reason": each.wish.reason,
        "received": each.received,
        "state": each.state,
        "why": each.why,
        "run": each.run or None,
    }
