"""Serving an application behind the door: what both programs are told, and how they listen."""

import argparse
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from deployments import uvicorn_limits
from deployments.web_login.allowed_hosts import Names
from deployments.web_login.login_link import passes_of
from deployments.web_login.middleware import Door
from deployments.web_login.password import drawn_password

_GOODBYE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens, and the further names by which it may be asked there, at any port."""

    host: str
    port: int
    names: tuple[str, ...] = ()

    def known_as(self) -> Names:
        """In a cluster somebody else chooses the port that a browser sees, on this machine nobody does."""
        return Names.of(self.names, None if self.names else self.port)


def add_place(parser: argparse.ArgumentParser) -> None:
    """The options that tell a `Place`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument(
        "--name", action="append", default=[], help="a further name that it may be asked by; then the port may be any"
    )


def place_of(options: argparse.Namespace) -> Place:
    """As the options say."""
    return Place(options.host, options.port, tuple(each for each in options.name if each))


def behind_login(
    inside: ASGIApp, part: str, keys: Path, names: Names, *, open_paths: Sequence[str], asks_sockets: bool = False
) -> Door:
    """`inside` with the door before it, under the secrets in `keys`; they are drawn if there are none yet."""
    return Door(inside, passes_of(keys, part), drawn_password(keys), names, frozenset(open_paths), asks_sockets)


def serve(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, sockets: list[socket.socket] | None = None) -> None:
    """Until SIGTERM."""
    uvicorn_limits.serve(app, _GOODBYE_SECONDS, sockets, host=host, port=port)
