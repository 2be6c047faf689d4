"""What a server that dies leaves to the one that takes its place: how many requests it was answering.

A request that ends the process is in nobody's count, and neither are those that came with it. So their number is kept
in a file that outlives the process; the next server tells them as failed. Where a gateway counts, it has seen them.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deployments.serving.predict_handler import Call

# Names the file, from a server to whoever starts its successor: a folder that stays when only the process goes.
VARIABLE: Final = "SEATRIAL_REMAINS"
_PRIVATE: Final = 0o600
# Of each kind how many are being answered; behind them, how many the servers before left that nobody knows of yet.
_KINDS: Final = ("keyless", "keyed", "copies")
_LOST: Final = len(_KINDS)
_WORDS: Final = 2 * len(_KINDS)


class Remains:
    """Three numbers in memory that the system writes down whatever becomes of the process; cheap to change."""

    def __init__(self, words: "memoryview[int]") -> None:
        self._words = words
        for place in range(_LOST):
            # Nobody has been told of those that a successor without time to speak has taken over.
            words[_LOST + place] += max(0, words[place])
            words[place] = 0
        self.lost = dict(zip(_KINDS, words[_LOST:].tolist(), strict=True))

    def begin(self, call: Call) -> None:
        """One more is being answered; what is asked aside is in no count."""
        if not call.aside:
            self._words[_place(call)] += 1

    def end(self, call: Call) -> None:
        """It is over."""
        if not call.aside:
            self._words[_place(call)] -= 1

    def have_been_told(self) -> None:
        """Whoever asked knows what the servers before left."""
        for place in range(_LOST, _WORDS):
            self._words[place] = 0


def _place(call: Call) -> int:
    return 2 if call.mirrored else 0 if call.key is None else 1


@contextmanager
def open_crash_record(path: Path | None) -> Iterator[Remains | None]:
    """The file at `path`, private, for the length of a block; None: nothing is left to anybody.

    Raises `OSError` where it cannot be written.
    """
    if path is None:
        yield None
        return
    size = _WORDS * 8
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _PRIVATE)
    try:
        os.ftruncate(descriptor, size)
        memory = mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
    with memory, memoryview(memory) as raw, raw.cast("q") as words:
        yield Remains(words)
