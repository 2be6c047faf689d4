"""Who is told of events: an address, what of it, and the key that tells the receiver who sends.

A subscription is a file in the folder of the platform's secrets, since whoever signs must have the key as it is.
"""

import base64
import ipaddress
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deployments.atomic_files import write_atomically
from deployments.errors import BadInput, NotFound
from deployments.event_delivery.catalogue import FIELDS, matches
from deployments.key_files import known_key

_FILE: Final = re.compile(r"events-([0-9a-f]{8})")
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, slots=True)
class Subscription:
    """One receiver. `products` and `types` are what it is told of, empty: all; a type may hold `*`.

    `private`: the operator has said that the address is one of a private network.
    """

    id: str
    url: str
    secret: str
    products: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    private: bool = False

    def wants(self, product: str, kind: str) -> bool:
        """Whether it is told of an event of this type of a product."""
        of_type = not self.types or any(matches(each, kind) for each in self.types)
        return of_type and (not self.products or product in self.products)

    @property
    def host(self) -> str:
        """The receiver, without what may be secret in the address."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def __repr__(self) -> str:
        return f"Subscription({self.id}, {self.host})"


class Subscriptions:
    """The subscriptions of a platform, in its folder of secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ids(self) -> tuple[str, ...]:
        """Of all of them, in alphabetical order."""
        with suppress(FileNotFoundError):
            return tuple(sorted(named[1] for path in self._folder.iterdir() if (named := _FILE.fullmatch(path.name))))
        return ()

    def all(self) -> Iterator[Subscription]:
        """By their ids; one that was taken away meanwhile is left out. Raises `BadInput` as `find` does."""
        for each in self.ids():
            with suppress(NotFound):
                yield self.find(each)

    def find(self, subscription: str) -> Subscription:
        """By its id. Raises `NotFound`, and `BadInput` for a file that others may read, or that is damaged."""
        path = self._folder / f"events-{subscription}"
        if not _FILE.fullmatch(path.name) or not path.exists():
            raise NotFound(
                f"no subscription is called {subscription!r}: `seatrial events subscriptions list` shows them"
            )
        return _parsed(subscription, known_key(self._folder, path.name))

    def keep(self, subscription: Subscription) -> None:
        """Written in one step, for nobody else to read. Raises `BadInput` where the folder is only read."""
        content = {
            "url": subscription.url,
            "secret": subscription.secret,
            "products": subscription.products,
            "types": subscription.types,
            "private": subscription.private,
        }
        path = self._folder / f"events-{subscription.id}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, json.dumps(content).encode())
        except PermissionError as error:
            raise BadInput(f"{path} cannot be written ({error.strerror}): a mounted Secret must hold it") from None

    def remove(self, subscription: str) -> None:
        """By its id: it is told of nothing any more."""
        (self._folder / f"events-{subscription}").unlink(missing_ok=True)


def new_subscription(
    url: str, products: tuple[str, ...] = (), types: tuple[str, ...] = (), *, private: bool = False
) -> Subscription:
    """With an id and a key of its own. Raises `BadInput` for an address or a type that cannot be told of anything."""
    for pattern in types:
        if not any(matches(pattern, kind) for kind in FIELDS):
            raise BadInput(
                f"no event is of type {pattern!r}: write one of {', '.join(FIELDS)}, or a part of one with *"
            )
    named_private = _checked(url, private=private)
    key = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    return Subscription(secrets.token_hex(4), url, key, products, types, private or named_private)


def is_public(address: str) -> bool:
    """Whether an address of IP is one of the internet; also of an IPv4 address that is written as one of IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_global) and not (mapped or parsed).is_multicast


def _checked(url: str, *, private: bool) -> bool:
    """Whether the address itself names a private place, which is leave to send there."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or not url.isprintable() or " " in url:
        raise BadInput("that is no address of a receiver: write https://HOST/PATH")
    if parts.username or parts.password or parts.fragment:
        raise BadInput("an address of a receiver holds no user, password or #: who sends is told by the signature")
    named = host.lower() in _LOCAL_NAMES
    with suppress(ValueError):
        named = not is_public(host)
    if parts.scheme == "http" and not (named or private):
        raise BadInput(
            f"http://{host} would show events to whoever listens: write https, or say --private if it is near"
        )
    return named


def _parsed(subscription: str, content: bytes) -> Subscription:
    try:
        said = json.loads(content)
        products, types = tuple(map(str, said["products"])), tuple(map(str, said["types"]))
        return Subscription(subscription, said["url"], said["secret"], products, types, said["private"] is True)
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            f"the file of the subscription {subscription} is damaged: `seatrial events subscriptions remove` it"
        ) from None
