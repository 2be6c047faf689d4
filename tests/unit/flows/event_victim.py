"""The control service, which kills itself at one moment between an event and the mark that it has arrived.

`python -m tests.unit.flows.event_victim POINT --port PORT`; none of the points: it lives.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from deployments.event_delivery import outbox
from deployments.event_delivery.outbox import Outbox
from flows.entrypoints.control_service.main import main

# By what it dies in, at its beginning or end.
POINTS: dict[str, tuple[Any, str, bool]] = {
    "taking": (outbox, "_take", True),
    "taken": (Outbox, "take", True),
    "sent": (Outbox, "arrived", False),
    "marked": (Outbox, "arrived", True),
}


def _deadly(method: Callable[..., Any], at_its_end: bool) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        became = method(*arguments, **named) if at_its_end else None
        if at_its_end and not became and method.__name__ in {"take", "_take"}:
            return became
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    return wrapped


if __name__ == "__main__":
    if (where := POINTS.get(sys.argv[1])) is not None:
        owner, name, at_its_end = where
        setattr(owner, name, _deadly(getattr(owner, name), at_its_end))
    main(sys.argv[2:])
