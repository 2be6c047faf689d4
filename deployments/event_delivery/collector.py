"""From the journal into the outbox."""

from collections.abc import Sequence

from deployments.clock import Clock
from deployments.event_delivery.outbox import Outbox, Wanting
from deployments.journals.protocol import Journal


def collect(journal: Journal, outbox: Outbox, to: Sequence[Wanting], clock: Clock) -> int:
    """Put what was journalled since the last time into the outbox; how many deliveries that made.

    The first time of all nothing is put there: what happened before anybody could be told is history.
    """
    made = 0
    while True:
        before = outbox.position()
        recorded, after = journal.events_after(before)
        made += outbox.take(recorded, before, after, to, clock.now())
        if before is None or after == before:
            return made
