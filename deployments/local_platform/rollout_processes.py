"""The processes that carry rollouts: they must not start again what `seatrial down` ends."""

import os
import signal
from contextlib import suppress
from datetime import datetime

from deployments.journals.protocol import Journal
from deployments.platform_identity import is_elsewhere


def end_carriers(journal: Journal, now: datetime, here: str) -> tuple[str, ...]:
    """Kill the processes of this machine that carry a rollout; returns the products.

    One that only bears the same number and host, in another container or before a reboot, is left alone, and so is the
    carrier of another platform's servers: `here` is the place of this one.

    They are killed as by a crash, on purpose: the journal knows how far each rollout is, and the next `seatrial up`
    carries it on from there. A signal that they could answer would make them put the champion back.
    """
    ended = []
    for state in journal.under_way():
        if is_elsewhere(state.place, here):
            continue
        owner = journal.holder(state.product, now)
        if owner is not None and owner.is_here() and owner.pid != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGKILL)
            ended.append(state.product)
    return tuple(ended)
