"""What the last users with a sticky key got, for whoever judges by users: see `deployments.metrics.user_predictions`.

A key itself is never told: the one who asks brings a salt, and gets the keyed hash of it.
"""

import hashlib
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

KEPT: Final = 20_000
# Of all answers together: those about many rows have many.
_MOST_SHARES: Final = 200_000
_MOST_AT_ONCE: Final = 2_000
_LONGEST_KEY: Final = 256
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class StickyKeys:
    """Where a request has the key of its user: in the header `header`; there in `cookie`, unless that is None."""

    header: bytes
    cookie: re.Pattern[bytes] | None = None

    @classmethod
    def of(cls, header: str, cookie: str | None) -> "StickyKeys":
        """The key in `header`, or in `cookie` unless that is None."""
        if cookie is None:
            return cls(header.lower().encode())
        return cls(b"cookie", re.compile(rb"(?:.*?;\s*)?%b=([^;]*)" % re.escape(cookie.encode())))

    def key_of(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """None for a user without one, or with an empty one."""
        key = headers.get(self.header)
        if key is not None and self.cookie is not None:
            found = self.cookie.match(key)
            key = found[1] if found else None
        return key or None


@dataclass(frozen=True, slots=True)
class KeyedAnswer:
    """What became of one request of the user with this `key`.

    `latency` and `given_up` are buckets of `LATENCY_BOUNDS_MS`; None for no answer, and for one that was not given up.
    `predicted` are the shares of labels or bins, which add up to 1; nothing for a request that was not answered.
    """

    number: int
    request_id: str
    key: bytes
    failed: bool
    latency: int | None
    given_up: int | None
    predicted: Mapping[str, float]


class KeyedAnswers:
    """The last of them, numbered from 1 on without a gap. Not for several threads: only the event loop touches it."""

    def __init__(self, capacity: int = KEPT, shares: int = _MOST_SHARES) -> None:
        self._answers: deque[tuple[str, bytes, bool, int | None, int | None, Mapping[str, float]]] = deque()
        self._capacity, self._most_shares = capacity, shares
        self._shares = self.last = 0

    def keep(
        self,
        request_id: str,
        key: bytes,
        failed: bool,
        latency: int | None,
        given_up: int | None,
        predicted: Mapping[str, float],
    ) -> None:
        """One more; it pushes the oldest ones out when there is no room."""
        if len(key) > _LONGEST_KEY:
            key = hashlib.sha256(key).digest()
        self.last += 1
        self._shares += len(predicted)
        self._answers.append((request_id, key, failed, latency, given_up, predicted))
        while len(self._answers) > self._capacity or self._shares > self._most_shares:
            self._shares -= len(self._answers.popleft()[5])

    def after(self, number: int, limit: int) -> tuple[Sequence[KeyedAnswer], int]:
        """The oldest ones beyond `number`, at most `limit` (and 2,000), and how many beyond it are forgotten."""
        oldest = self.last - len(self._answers) + 1
        first = max(0, number + 1 - oldest)
        some = islice(self._answers, first, first + min(limit, _MOST_AT_ONCE))
        told = tuple(KeyedAnswer(oldest + first + place, *each) for place, each in enumerate(some))
        return told, max(0, oldest - number - 1)


def hashed(key: bytes, salt: bytes) -> str:
    """What stands for a key: the same for the same salt, and of no use to whoever does not know both."""
    return hashlib.blake2b(key, digest_size=_DIGEST_BYTES, key=hashlib.blake2b(salt).digest()).hexdigest()
