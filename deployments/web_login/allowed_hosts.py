"""The names by which a server may be asked: not by one that a page had lead to this machine (DNS rebinding)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Names:
    """`hosts` in lower case. `port`: the only one; None: any, where somebody else chooses it (`port-forward`)."""

    hosts: frozenset[str]
    port: int | None

    @classmethod
    def of(cls, further: Iterable[str] = (), port: int | None = None) -> "Names":
        """Those of the loopback address, and `further` ones."""
        return cls(frozenset((*LOOPBACK, *(each.lower() for each in further))), port)

    def has(self, host: str) -> bool:
        """Whether the header `Host` names this server."""
        found = _HOST.fullmatch(host.lower())
        if found is None or found["name"] not in self.hosts:
            return False
        return self.port is None or found["port"] == str(self.port)

    def __str__(self) -> str:
        """For whoever asked by another one."""
        port = "" if self.port is None else f":{self.port}"
        return ", ".join(f"{name}{port}" for name in (*LOOPBACK, *sorted(self.hosts - set(LOOPBACK))))
