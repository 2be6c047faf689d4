"""Standard output and error that nobody waits for: a log whose reader is gone or stands still costs lines, no answers.

A model prints what it likes. Whoever keeps the server reads that from a pipe; if it is stopped or killed, a usual
`print` would wait without end, or fail, in the middle of somebody's request.
"""

import contextlib
import io
import os
import stat
import sys
from typing import Any, Final

STDOUT: Final = 1
STDERR: Final = 2


class Unwaiting(io.RawIOBase):
    """Writes to an open file `number`; what that does not take at once is dropped."""

    def __init__(self, number: int) -> None:
        self._number, self._cut = number, False
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.set_blocking(number, False)

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The number of the file."""
        return self._number

    def write(self, content: Any, /) -> int:
        """All of it counts as written. After a piece that was cut off, a new line begins."""
        wanted = bytes(content)
        begun = b"\n" if self._cut else b""
        try:
            written = os.write(self._number, begun + wanted)
        except OSError:
            return len(wanted)
        self._cut = written < len(begun + wanted)
        return len(wanted)


def make_output_nonblocking() -> None:
    """From here on, what this process prints and logs is written so."""
    sys.stdout = io.TextIOWrapper(Unwaiting(STDOUT), "utf-8", "backslashreplace", write_through=True)
    sys.stderr = io.TextIOWrapper(Unwaiting(STDERR), "utf-8", "backslashreplace", write_through=True)
