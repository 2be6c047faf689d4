"""What a former holder of a lease may not do any more, although it does not know yet that it is a former one.

A process that was stopped in the middle of a write goes on where it was, be it hours later. So each write that moves
traffic or servers carries the token of the lease under which it was begun, and whoever is written to remembers the
highest token that it was shown. None is no token: a person's tool, which nobody fences.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deployments.atomic_files import is_disk_full
from deployments.errors import Busy

# Tokens count seconds since then, so that a journal that begins anew begins above all that were given out before.
_EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
# Kept in 32 bits by databases and clusters; a clock that is far ahead may not use them up.
_LATEST: Final = 2**30


def next_token(former: int, now: datetime) -> int:
    """The token of the next holder; above `former`, and above those of any other journal that was in use until now."""
    return max(former + 1, min(int((now - _EPOCH).total_seconds()), _LATEST))


def admit_token(product: str, token: int, newest: int) -> bool:
    """Whether `token` is to be remembered, being higher than the newest one seen. Raises `Busy` for a lower one."""
    if token < newest:
        raise Busy(f"{product}: the lease {token} is over, {newest} has been at work since: nothing was changed")
    return token > newest


@dataclass(frozen=True, slots=True)
class Tokens:
    """The highest token of each product that was seen by this process."""

    seen: dict[str, int] = field(default_factory=dict)

    def admit(self, product: str, token: int | None) -> None:
        """Remember `token`. Raises `Busy` if a higher one was seen."""
        if token is not None and admit_token(product, token, self.newest(product)):
            self.seen[product] = token

    def newest(self, product: str) -> int:
        """The highest token that was seen; 0 for none."""
        return self.seen.get(product, 0)


@dataclass(frozen=True, slots=True)
class Fences:
    """The highest token of each product that was seen here, kept in `folder`.

    Each token is an empty file of its name: no lock is needed, and none can be kept by a process that was stopped; no
    content can be damaged; and the highest of them counts, in whatever order they were written.
    """

    folder: Path

    def admit(self, product: str, token: int | None) -> None:
        """Remember `token`. Raises `Busy` if a higher one was seen: from then on lower ones are refused."""
        if token is not None and admit_token(product, token, self.newest(product)):
            self._remember(product, token)

    def newest(self, product: str) -> int:
        """The highest token that was seen; 0 for none."""
        return max((int(path.name) for path in self._seen(product)), default=0)

    def _remember(self, product: str, token: int) -> None:
        folder = self.folder / product
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / str(token)).touch(mode=0o600)
        except OSError as error:
            # Where there is no room for a name, the way back is more urgent than who might disturb it.
            if not is_disk_full(error):
                raise
            return
        for path in self._seen(product):
            if int(path.name) < token:
                path.unlink(missing_ok=True)

    def _seen(self, product: str) -> list[Path]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return [path for path in (self.folder / product).iterdir() if path.name.isdecimal()]
        return []
