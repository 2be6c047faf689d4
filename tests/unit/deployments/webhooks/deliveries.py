"""Signed deliveries as each source makes them, for the product `shop`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from deployments.webhooks.hooks import Hook, Hooks, new_hook
from deployments.webhooks.sources import SOURCES

PRODUCT = "shop"
# What time it is in these tests; see `the_librarys_clock`.
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE_NAMES = tuple(SOURCES)


def hooks_in(folder: Path, *sources: str, product: str = PRODUCT) -> Hooks:
    """A folder with a webhook of each source; all of them if none is named."""
    hooks = Hooks(folder)
    for source in sources or SOURCE_NAMES:
        hooks.keep(new_hook(source, product))
    return hooks


def delivery(hook: Hook, now: datetime, version: int = 3, secret: str | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of a good one."""
    headers, body = hook.spoken.sample(hook.product, hook.rules, version, now)
    return signed(hook, headers, body, secret), body


def signed(hook: Hook, headers: Mapping[str, str], body: bytes, secret: str | None = None) -> dict[str, str]:
    """`headers` with the signature over `body`, by the newest key of the webhook or another one."""
    return {**headers, **hook.spoken.signature(headers, body, secret or hook.keys[0].secret)}


def resigned(hook: Hook, headers: Mapping[str, str], content: Any) -> tuple[dict[str, str], bytes]:
    """What the holder of the key sends if he wants to send this."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return signed(hook, headers, body), body


class LibraryDatetime(datetime):
    """What Standard Webhooks' library takes for the machine's clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "LibraryDatetime":
        return cls.fromtimestamp(START.timestamp(), tz)
