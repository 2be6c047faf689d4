"""How long big requests take, so that only those that take long are handed to a thread, which costs time of its own."""

import sys
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
# Half of the time for which CPython would let a thread keep the event loop waiting for the interpreter.
_LONGEST_SECONDS: Final = sys.getswitchinterval() / 2
_SHARE_OF_NEWEST: Final = 0.1


class Pace:
    """Learns from each request: at once that they take longer, and by and by that they take less."""

    def __init__(self) -> None:
        self._seconds_a_byte: float | None = None

    def is_quick(self, size: int) -> bool:
        """Whether a request of `size` bytes will likely take no more than 2.5 ms; False while nothing is known."""
        return self._seconds_a_byte is not None and self._seconds_a_byte * size <= _LONGEST_SECONDS

    def timed(self, size: int, work: Callable[[], T]) -> T:
        """What `work` returns, which answers a request of `size` bytes; its own CPU time counts, in any thread."""
        began = time.thread_time()
        done = work()
        took = (time.thread_time() - began) / size
        known = took if self._seconds_a_byte is None else self._seconds_a_byte
        self._seconds_a_byte = max(took, known + _SHARE_OF_NEWEST * (took - known))
        return done
