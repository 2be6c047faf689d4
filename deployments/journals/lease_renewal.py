"""Leases are short, so that a killed holder is followed soon; a thread renews them while their holder works."""

import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from deployments.clock import Clock
from deployments.errors import Busy
from deployments.journals.protocol import Journal, Lease

# Of a lease's time, how much goes by between two renewals: two in a row may fail.
_SHARE: Final = 3


@dataclass(frozen=True, slots=True)
class _Kept:
    lease: Lease
    ttl: timedelta
    until: float


class Renewals:
    """Renews what it was told to keep, until it is given back or taken over, or its holder has not been heard of."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._lock, self._process = threading.Lock(), os.getpid()
        self._kept: dict[str, _Kept] = {}
        self._last: dict[str, Lease] = {}
        self._thread: threading.Thread | None = None

    def keep(self, lease: Lease, ttl: timedelta, patience: timedelta) -> None:
        """Renew `lease` by `ttl` again and again, for `patience` from now on.

        The holder says so anew with every step: one that hangs in the middle of one loses its lease, as it should.
        """
        self._as_a_fork()
        with self._lock:
            self._last[lease.product] = lease
            self._kept[lease.product] = _Kept(lease, ttl, self._clock.monotonic() + patience.total_seconds())
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="leases", daemon=True)
                self._thread.start()

    def renew(self) -> None:
        """Renew now whatever is kept; what cannot be renewed any more is kept no longer."""
        with self._lock:
            kept = list(self._kept.values())
        for each in kept:
            if self._clock.monotonic() >= each.until or not self._renewed(each):
                self._forget(each)

    def last(self, product: str) -> Lease | None:
        """The last lease on a product that this process had, whoever has it now; None for none."""
        self._as_a_fork()
        with self._lock:
            return self._last.get(product)

    @property
    def kept(self) -> tuple[str, ...]:
        """The products whose leases are kept."""
        with self._lock:
            return tuple(sorted(self._kept))

    def _as_a_fork(self) -> None:
        """A fork has neither the thread nor the leases of its parent, and may have copied a lock that somebody held."""
        if self._process != os.getpid():
            self.__init__(self._journal, self._clock)  # type: ignore[misc]

    def _renewed(self, each: _Kept) -> bool:
        """False once it was given back, or somebody else has it."""
        try:
            self._journal.renew(each.lease, self._clock.now(), each.ttl)
        except Busy:
            return False
        except Exception:  # noqa: BLE001 - the edge of a thread: a journal that is away may be back the next time
            return True
        return True

    def _work(self) -> None:
        while True:
            with self._lock:
                pauses = [each.ttl / _SHARE for each in self._kept.values()]
                if not pauses:
                    self._thread = None
                    return
            self._clock.sleep(min(pauses))
            self.renew()

    def _forget(self, gone: _Kept) -> None:
        with self._lock:
            if self._kept.get(gone.lease.product) == gone:
                del self._kept[gone.lease.product]
