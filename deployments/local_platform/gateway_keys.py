"""The keys that others show at the gateway for a product: one file a product among the platform's secrets.

They are kept as they are, for Envoy compares them: in the folder of secrets, which only its owner reads.
"""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from deployments.atomic_files import write_atomically
from deployments.errors import BadInput, NotFound
from deployments.key_files import known_key

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_PRODUCT: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_FILE: Final = re.compile(r"gateway-([a-z][a-z0-9-]{0,39})")


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """One key of a product. `name` says whose it is."""

    product: str
    name: str
    secret: str
    made: datetime

    def __repr__(self) -> str:
        return f"GatewayKey({self.product}, {self.name})"


class GatewayKeys:
    """The keys of all products, in a platform's folder of secrets. Raises `BadInput` for a file that is damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> Iterator[GatewayKey]:
        """By product, in the order in which they were made."""
        with suppress(FileNotFoundError):
            for path in sorted(self._folder.iterdir()):
                if (named := _FILE.fullmatch(path.name)) and path.is_file():
                    yield from self.of(named[1])

    def of(self, product: str) -> tuple[GatewayKey, ...]:
        """Those of one product; none of what cannot be one."""
        if not _PRODUCT.fullmatch(product):
            return ()
        try:
            content = known_key(self._folder, f"gateway-{product}")
        except NotFound:
            return ()
        try:
            return tuple(
                GatewayKey(product, each["name"], each["secret"], datetime.fromisoformat(each["made"]))
                for each in json.loads(content)
            )
        except (ValueError, TypeError, KeyError):
            raise BadInput(
                f"the file {self._folder / f'gateway-{product}'} is damaged: remove it, and make the keys again"
            ) from None

    def create(self, product: str, name: str, now: datetime) -> GatewayKey:
        """A new one of 256 random bits. Raises `BadInput` for a name that is taken, or none."""
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name!r} cannot name a key: up to 40 letters, digits, dots, dashes and _")
        if not _PRODUCT.fullmatch(product):
            raise BadInput(f"{product!r} is no name of a product: small letters, digits and dashes")
        known = self.of(product)
        if any(each.name == name for each in known):
            raise BadInput(f"{product} has a key {name} already: take another name, such as {name}-2")
        made = GatewayKey(product, name, secrets.token_urlsafe(32), now)
        self._keep(product, (*known, made))
        return made

    def revoke(self, product: str, name: str) -> GatewayKey:
        """One that is good no more. Raises `NotFound` if there is none of this name."""
        known = self.of(product)
        gone = next((each for each in known if each.name == name), None)
        if gone is None:
            named = ", ".join(each.name for each in known) or "none"
            raise NotFound(f"{product} has no key {name}: its keys are {named}")
        self._keep(product, tuple(each for each in known if each is not gone))
        return gone

    def _keep(self, product: str, keys: tuple[GatewayKey, ...]) -> None:
        path = self._folder / f"gateway-{product}"
        if not keys:
            path.unlink(missing_ok=True)
            return
        document = [{"name": each.name, "secret": each.secret, "made": each.made.isoformat()} for each in keys]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, json.dumps(document).encode(), mode=0o600)
