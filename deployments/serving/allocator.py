"""Memory that goes back to the system once a large request is answered."""

import ctypes
from contextlib import suppress
from typing import Final

# Of glibc's `mallopt`. Other C libraries have none, or take no notice.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE: Final = 512 * 1024
_SPARE: Final = 16 * 1024 * 1024
_ARENAS: Final = 2


def give_back_memory() -> None:
    """From here on large blocks are of their own, and go when they are freed; threads share what holds small ones.

    Else glibc learns from each large block to keep the next ones, up to 32 MiB, and keeps them for each thread: after
    some large requests a server would take several times what any of them needs.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in ((_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _SPARE), (_ARENA_MAX, _ARENAS)):
            mallopt(name, value)
