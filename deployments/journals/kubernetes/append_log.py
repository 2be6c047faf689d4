"""Lines that only grow, in ConfigMaps: the newest in a head, which is compared and swapped, the others in chunks.

A chunk is named by the hash of what it holds and listed in the head, so whoever is killed between the two writes, or
comes too late with the second one, changes nothing that is read.
"""

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from deployments.cluster import Cluster, Conflicting
from deployments.cluster.object_names import KIND
from deployments.cluster.resource_kinds import CONFIG_MAP
from deployments.journals.kubernetes.compare_and_swap import read, swap

Object = dict[str, Any]
# Characters of a head's lines before they go to a chunk: some 20 KB as they are kept, in objects of at most 1 MiB.
FULL: Final = 200_000
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class Head:
    """The newest lines, `tail`, and where the others are: names of chunks with their numbers of lines, oldest first.

    `dropped` counts lines that are gone. `document` is the state of a rollout, if the head is one's, and `token` the
    highest of the leases under which it was written; `extra` are labels that change.
    """

    name: str
    labels: Mapping[str, str]
    extra: Mapping[str, str] = field(default_factory=dict)
    token: int = 0
    document: str = ""
    dropped: int = 0
    chunks: tuple[tuple[str, int], ...] = ()
    tail: tuple[str, ...] = ()

    @property
    def before_tail(self) -> int:
        """How many lines were written before the first of the tail."""
        return self.dropped + sum(lines for _, lines in self.chunks)

    @property
    def count(self) -> int:
        """How many lines were ever written."""
        return self.before_tail + len(self.tail)

    def filled(self, found: Object) -> "Head":
        """This head as `found` has it."""
        data, binary = found["data"], found.get("binaryData") or {}
        labels = {name: value for name, value in found["metadata"]["labels"].items() if name not in self.labels}
        chunks = tuple((name, lines) for name, lines in json.loads(data["chunks"]))
        document, tail = _unpacked(binary.get("document", "")), _split(binary.get("tail", ""))
        return Head(self.name, self.labels, labels, int(data["token"]), document, int(data["dropped"]), chunks, tail)

    def manifest(self) -> Object:
        """As a ConfigMap."""
        return {
            "metadata": {"name": self.name, "labels": {**self.labels, **self.extra}},
            "data": {"token": str(self.token), "dropped": str(self.dropped), "chunks": json.dumps(self.chunks)},
            "binaryData": {"document": _packed(self.document), "tail": _packed("\n".join(self.tail))},
        }


class Lines:
    """The heads and chunks of a namespace. Heads written here are remembered: the next write takes one call."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._written: dict[str, Object] = {}
        self.chunk = lru_cache(maxsize=_REMEMBERED)(self._read_chunk)

    def read(self, blank: Head) -> Head:
        """As it is now; `blank` if it was never written."""
        found = read(self._cluster, CONFIG_MAP, blank.name)
        return blank if found is None else blank.filled(found)

    def listed(self, selector: str) -> list[Head]:
        """All heads that the selector lets through."""
        found, _ = self._cluster.list(CONFIG_MAP, selector)
        return [Head(each["metadata"]["name"], {}).filled(each) for each in found]

    def documents(self, selector: str) -> list[str]:
        """The documents of all heads that the selector lets through and that have one."""
        found, _ = self._cluster.list(CONFIG_MAP, selector)
        packed = (each["binaryData"]["document"] for each in found)
        return [_unpacked(each) for each in packed if each]

    def all_of(self, head: Head) -> tuple[str, ...]:
        """Every line that is not dropped, oldest first."""
        return tuple(line for name, _ in head.chunks for line in self.chunk(name)) + head.tail

    def change(self, blank: Head, edit: Callable[[Head], Head], always: bool = True) -> Head:
        """What `edit` makes of the head; see `swap`. Without `always` nothing is written where nothing changes."""
        asked = False

        def edited(found: Object | None) -> Object | None:
            nonlocal asked
            head = blank if found is None else blank.filled(found)
            wanted, again, asked = edit(head), asked, True
            return None if wanted == head and (again or not always) else wanted.manifest()

        known = self._written.pop(blank.name, None)
        written = swap(self._cluster, CONFIG_MAP, blank.name, known, edited)
        if written is None:
            return blank
        if len(self._written) >= _REMEMBERED:
            self._written.clear()
        self._written[blank.name] = written
        return blank.filled(written)

    def append(self, blank: Head, line: str, also: Callable[[Head], Head] = lambda head: head) -> tuple[Head, int]:
        """The head with one more line, and how many there were before it. No two lines may ever be equal.

        `also` is applied first, and may refuse by raising.
        """
        place = -1

        def appended(head: Head) -> Head:
            nonlocal place
            head = also(head)
            if 0 <= place < head.count and self._at(head, place) == line:
                return head
            place = head.count
            if sum(map(len, head.tail)) >= FULL:
                head = replace(head, chunks=(*head.chunks, self._sealed(head)), tail=())
            return replace(head, tail=(*head.tail, line))

        return self.change(blank, appended), place

    def drop(self, head: Head, number: int) -> Head:
        """The head without its oldest `number` chunks. They are deleted first, so that a kill leaves none behind."""
        gone = head.chunks[:number]
        for name, _ in gone:
            self._cluster.delete(CONFIG_MAP, name)

        def without(now: Head) -> Head:
            there = [chunk for chunk in now.chunks if chunk in gone]
            rest = tuple(chunk for chunk in now.chunks if chunk not in gone)
            return replace(now, dropped=now.dropped + sum(lines for _, lines in there), chunks=rest)

        return self.change(head, without, always=False)

    def _at(self, head: Head, place: int) -> str:
        lines = head.tail if place >= head.before_tail else self.all_of(head)
        return lines[place - head.count]

    def _sealed(self, head: Head) -> tuple[str, int]:
        text = "\n".join(head.tail)
        name = f"{head.name}.{sha256(text.encode()).hexdigest()[:32]}"
        manifest = {
            "metadata": {"name": name, "labels": {**head.labels, KIND: f"{head.labels[KIND]}-chunk"}},
            "immutable": True,
            "binaryData": {"lines": _packed(text)},
        }
        with suppress(Conflicting):  # of that name there is only that content
            self._cluster.create(CONFIG_MAP, manifest)
        return name, len(head.tail)

    def _read_chunk(self, name: str) -> tuple[str, ...]:
        """Nothing for one that was dropped since the head was read."""
        found = read(self._cluster, CONFIG_MAP, name)
        return () if found is None else _split(found["binaryData"]["lines"])


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode() if text else ""


def _unpacked(packed: str) -> str:
    return gzip.decompress(base64.b64decode(packed)).decode() if packed else ""


def _split(packed: str) -> tuple[str, ...]:
    text = _unpacked(packed)
    return tuple(text.split("\n")) if text else ()
