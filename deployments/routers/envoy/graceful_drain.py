"""How to stop a gateway without cutting off whom it is answering: Envoy on its own drops them at SIGTERM."""

from datetime import timedelta
from pathlib import Path

from deployments.clock import Clock
from deployments.errors import RouterUnreachable
from deployments.routers.envoy.admin import Admin
from deployments.routers.envoy.config_files import ADMIN_SOCKET

_POLL = timedelta(milliseconds=20)


def drain(run_folder: Path, clock: Clock, timeout: timedelta) -> bool:
    """Ask clients to go elsewhere and wait until no request is being answered; to be followed by SIGTERM at once.

    False if some still are after `timeout`; True too for a gateway that does not run.
    """
    admin = Admin(run_folder.resolve() / ADMIN_SOCKET)
    deadline = clock.monotonic() + timeout.total_seconds()
    try:
        admin.stop_accepting()
        while admin.requests():
            if clock.monotonic() >= deadline:
                return False
            clock.sleep(_POLL)
    except RouterUnreachable:
        return True
    return True
