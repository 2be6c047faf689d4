"""The webhooks that were made: which product, what starts something, and the keys, each in a file of its own.

A key is kept as it is, for whoever checks an HMAC must have it: in the folder of the platform's secrets, which only
its owner reads.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from deployments.atomic_files import write_atomically
from deployments.errors import BadInput, NotFound
from deployments.key_files import known_key
from deployments.webhooks.sources import SOURCES, Source

OVERLAP: Final = timedelta(days=1)
_PRODUCT: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_FILE: Final = re.compile(r"webhook-([a-z]+)-([a-z][a-z0-9-]{0,39})")


@dataclass(frozen=True, slots=True)
class Key:
    """A secret. `until` is when it is good no more; None: until it is taken away."""

    secret: str
    until: datetime | None = None

    def __repr__(self) -> str:
        return f"Key(until={self.until})"


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook. `rules` say what starts something.

    `registered` is its id in MLflow, empty for other sources. `gateway` is the gateway's address as its sender reaches
    it, empty where that is the platform's own.
    """

    source: str
    product: str
    rules: tuple[str, ...]
    keys: tuple[Key, ...]
    registered: str = ""
    gateway: str = ""

    @property
    def spoken(self) -> Source:
        """How its sender speaks."""
        return SOURCES[self.source]

    @property
    def path(self) -> str:
        """Where it is sent to, below the gateway's address."""
        return f"/seatrial/webhooks/{self.source}/{self.product}"

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """The keys that are good now, the newest first."""
        return tuple(key.secret for key in self.keys if key.until is None or now < key.until)

    def rotated(self, now: datetime, overlap: timedelta = OVERLAP) -> "Hook":
        """With a new key, and the present ones good for `overlap` more."""
        ends = now + overlap
        former = [replace(key, until=ends if key.until is None else min(key.until, ends)) for key in self.keys]
        kept = [key for key in former if key.until is not None and now < key.until]
        return replace(self, keys=(Key(self.spoken.draw_key()), *kept))


class Hooks:
    """The webhooks of a platform, in its folder of secrets. Safe for several processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[tuple[str, str], tuple[tuple[int, int, int], Hook]] = {}

    def find(self, source: str, product: str) -> Hook:
        """Raises `NotFound` where there is none, `BadInput` for a file that others may read or that is damaged.

        A file is read again only once it was replaced.
        """
        if source not in SOURCES or not _PRODUCT.fullmatch(product):
            raise NotFound("there is no such webhook")
        path = self._folder / _name(source, product)
        try:
            found = path.stat()
        except FileNotFoundError:
            raise NotFound(
                f"{product} has no webhook of {source}: `seatrial webhook create {source} {product}` makes one"
            ) from None
        stamp = (found.st_mtime_ns, found.st_ino, found.st_mode)
        known = self._read.get((source, product))
        if known is None or known[0] != stamp:
            known = self._read[source, product] = (stamp, _parsed(source, product, known_key(self._folder, path.name)))
        return known[1]

    def all(self) -> Iterator[Hook]:
        """In alphabetical order; one that was taken away meanwhile is left out."""
        with suppress(FileNotFoundError):
            for path in sorted(self._folder.iterdir()):
                if named := _FILE.fullmatch(path.name):
                    with suppress(NotFound):
                        yield self.find(named[1], named[2])

    def keep(self, hook: Hook) -> None:
        """Written in one step, for nobody else to read. Raises `BadInput` where the folder is only read."""
        content = {
            "rules": hook.rules,
            "registered": hook.registered,
            "gateway": hook.gateway,
            "keys": [
                {"secret": key.secret, "until": key.until.isoformat() if key.until else None} for key in hook.keys
            ],
        }
        path = self._folder / _name(hook.source, hook.product)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, json.dumps(content).encode())
        except PermissionError as error:
            raise BadInput(f"{path} cannot be written ({error.strerror}): a mounted Secret must hold it") from None

    def remove(self, hook: Hook) -> None:
        """Its keys are good no more."""
        (self._folder / _name(hook.source, hook.product)).unlink(missing_ok=True)
        self._read.pop((hook.source, hook.product), None)


def new_hook(source: str, product: str, rules: tuple[str, ...] = ()) -> Hook:
    """With a key of its own. Raises `BadInput` for a source that is not known, and a rule that it has not."""
    if source not in SOURCES:
        raise BadInput(f"{source!r} is no source of webhooks: write one of {', '.join(SOURCES)}")
    spoken = SOURCES[source]
    for rule in rules:
        spoken.check_rule(rule)
    return Hook(source, product, rules or spoken.usual_rules, (Key(spoken.draw_key()),))


def _name(source: str, product: str) -> str:
    return f"webhook-{source}-{product}"


def _parsed(source: str, product: str, content: bytes) -> Hook:
    try:
        found: Mapping[str, object] = json.loads(content)
        keys = tuple(
            Key(str(each["secret"]), datetime.fromisoformat(each["until"]) if each["until"] else None)
            for each in found["keys"]  # type: ignore[attr-defined]
        )
        rules = tuple(map(str, found["rules"]))  # type: ignore[call-overload]
        return Hook(source, product, rules, keys, str(found["registered"]), str(found["gateway"]))
    except (ValueError, TypeError, KeyError):
        raise BadInput(
            f"the key {_name(source, product)} is damaged: remove that file, and make the webhook again"
        ) from None
