"""`python -m flows.entrypoints.runner.prefect_server`: Prefect's API, scheduler and pages, behind a login.

As `prefect server start`, whose application takes nothing before it. Prefect's own authentication is on, too: it is
what those are asked for who open a WebSocket.
"""

import argparse
import os
import socket
from collections.abc import Sequence

from deployments.settings import current
from deployments.web_login.allowed_hosts import Names
from deployments.web_login.middleware import Door
from deployments.web_login.password import credentials, drawn_password
from deployments.web_login.web_server import add_place, behind_login, place_of, serve

PART = "prefect"
_OPEN = ("/api/health", "/api/ready")


def prefect_behind_login(names: Names, origin: str, *, for_one_command: bool = False) -> Door:
    """Prefect's application. Its settings are read while it is imported, so nobody may have imported it before."""
    keys = current().keys_folder
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = credentials(drawn_password(keys))
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = origin
    from prefect.server.api.server import create_app

    from flows.entrypoints.runner.prefect_database import serialize_writers

    serialize_writers()
    app = create_app(ephemeral=for_one_command, final=True)
    return behind_login(app, PART, keys, names, open_paths=_OPEN, asks_sockets=True)


def serve_for_one_command(listening: socket.socket) -> None:
    """On a socket that is open already; it has no pages."""
    port = listening.getsockname()[1]
    door = prefect_behind_login(Names.of(port=port), f"http://127.0.0.1:{port}", for_one_command=True)
    serve(door, sockets=[listening])


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.entrypoints.runner.prefect_server", description="Prefect's server."
    )
    add_place(parser)
    place = place_of(parser.parse_args(arguments))
    serve(prefect_behind_login(place.known_as(), f"http://127.0.0.1:{place.port}"), host=place.host, port=place.port)


if __name__ == "__main__":
    main()
