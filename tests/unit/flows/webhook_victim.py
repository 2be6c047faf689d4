"""The control service, which kills itself at one moment between a delivery and its run.

`python -m tests.unit.flows.webhook_victim POINT --port PORT`; none of the points: it lives.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from deployments.prefect_api import PrefectApi
from deployments.webhooks.dispatcher import Dispatcher
from deployments.webhooks.inbox import Inbox
from flows.entrypoints.control_service.main import main

# By the method at whose beginning, or end, it dies.
POINTS: dict[str, tuple[type, str, bool]] = {
    "received": (Inbox, "put", False),
    "committed": (Inbox, "put", True),
    "asking": (PrefectApi, "start_run", False),
    "started": (PrefectApi, "start_run", True),
    "noted": (Dispatcher, "_note", True),
    "marked": (Inbox, "became", True),
}


def deadly(method: Callable[..., Any], at_its_end: bool) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if at_its_end:
            method(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return wrapped


if __name__ == "__main__":
    if (where := POINTS.get(sys.argv[1])) is not None:
        owner, name, at_its_end = where
        setattr(owner, name, deadly(getattr(owner, name), at_its_end))
    main(sys.argv[2:])
