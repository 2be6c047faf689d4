"""Which routings any router takes, and the one form in which each is kept and read back."""

import os
import re
from dataclasses import replace

from deployments.errors import RouterRefused
from deployments.traffic import Backend, Routing, Weights

# The gateway answers these paths itself or gives them to all products.
RESERVED_NAMES = frozenset({"v2", "seatrial"})
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_LONGEST_SOCKET_PATH = 107
_LAST_PORT = 65535


def accepted(product: str, routing: Routing) -> Routing:
    """`routing` in its kept form: back ends by ascending version, without those that have no address.

    A weight of 0 is kept for a version that has a back end. Raises `RouterRefused` for a name that the gateway cannot
    serve, and for an address that is neither an absolute socket path nor `host:port`.
    """
    _check_name(product)
    backends = tuple(
        sorted((backend for backend in routing.backends if backend.addresses), key=lambda backend: backend.version)
    )
    for backend in backends:
        _check_backend(product, backend)
    versions = [backend.version for backend in backends]
    if len(set(versions)) != len(versions):
        raise RouterRefused(
            f"{product}: a version is named twice among the back ends {versions}: give all its addresses in one"
        )
    weights = Weights(
        {version: percent for version, percent in routing.weights.percents.items() if version in versions}
    )
    return replace(routing, backends=backends, weights=weights)


def is_socket_path(address: str) -> bool:
    """Whether `address` is the path of a Unix socket rather than `host:port`."""
    return "/" in address


def host_and_port(address: str) -> tuple[str, int]:
    """The two parts of `host:port`; an IPv6 host loses its brackets. Raises ValueError for anything else."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        raise ValueError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _check_name(product: str) -> None:
    if not _NAME.fullmatch(product):
        raise RouterRefused(
            f"{product!r} cannot be a product's path: use 1 to 40 lower-case letters, digits and -, a letter first"
        )
    if product in RESERVED_NAMES:
        raise RouterRefused(f"the gateway keeps the path /{product}/ for itself: give the product another name")


def _check_backend(product: str, backend: Backend) -> None:
    if backend.version < 0:
        raise RouterRefused(f"{product}: {backend.version} is no model version: versions are 0 or greater")
    if len(set(backend.addresses)) != len(backend.addresses):
        raise RouterRefused(f"{product} v{backend.version}: an address is named twice: {', '.join(backend.addresses)}")
    for address in backend.addresses:
        _check_address(f"{product} v{backend.version}", address)


def _check_address(who: str, address: str) -> None:
    if not is_socket_path(address):
        try:
            host_and_port(address)
        except ValueError as error:
            raise RouterRefused(f"{who}: {error}: give an absolute socket path or host:port") from error
    elif not address.startswith("/"):
        raise RouterRefused(f"{who}: the socket path {address!r} is relative: give the absolute path")
    elif len(os.fsencode(address)) > _LONGEST_SOCKET_PATH:
        raise RouterRefused(
            f"{who}: the socket path {address} has more than {_LONGEST_SOCKET_PATH} bytes: use a shorter folder"
        )
