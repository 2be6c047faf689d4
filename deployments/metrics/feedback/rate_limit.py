"""How much one sender may send: a bucket each, which fills again within a minute."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from deployments.clock import Clock

_MINUTE: Final = 60.0
# Who has been silent for longest is forgotten first, and then begins with a full bucket.
_MOST_SENDERS: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Rates:
    """At most `a_minute` for each sender, all of it at once if need be. Safe for several threads."""

    def __init__(self, a_minute: int, clock: Clock) -> None:
        self._most, self._clock = float(a_minute), clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, sender: str, number: int) -> timedelta | None:
        """None if the sender may send `number` more, which are then spent; else how long until it may.

        More than a minute's share may be sent at once by whoever has all of it left, so that it can be sent at all.
        """
        now = self._clock.monotonic()
        with self._turn:
            bucket = self._bucket(sender, now)
            wanted = min(float(number), self._most)
            if bucket.left < wanted:
                return timedelta(seconds=(wanted - bucket.left) / self._most * _MINUTE)
            bucket.left -= number
            return None

    def _bucket(self, sender: str, now: float) -> _Bucket:
        bucket = self._buckets.setdefault(sender, _Bucket(self._most, now))
        self._buckets.move_to_end(sender)
        if len(self._buckets) > _MOST_SENDERS:
            self._buckets.popitem(last=False)
        bucket.left = min(self._most, bucket.left + (now - bucket.at) / _MINUTE * self._most)
        bucket.at = now
        return bucket
