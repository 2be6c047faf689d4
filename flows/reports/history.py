"""The history of decisions, as JSON."""

from typing import Any

from deployments.errors import NotFound
from deployments.journals.protocol import Event, Journal


def history_report(journal: Journal, product: str | None, limit: int) -> list[dict[str, Any]]:
    """The last `limit` events of a product, or of all for None, oldest first. Raises `NotFound` for an unknown one."""
    events = journal.events(product)
    if product is not None and not events:
        raise NotFound(f"nothing is known of {product!r}: check the name with `seatrial status`")
    return [event_report(event) for event in events[-limit:]]


def event_report(event: Event) -> dict[str, Any]:
    """One event; its own facts stand beside when, of which product, what and in which run."""
    return {"at": event.at, "product": event.product, "event": event.kind, "run": event.run, **event.detail}
