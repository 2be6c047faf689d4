"""The log of a program of the platform, which is its standard output: a line for each thing."""

from collections.abc import Iterator
from contextlib import contextmanager

from deployments.errors import SeatrialError
from deployments.printable import in_one_line


def say(what: str) -> None:
    """One line, whatever stands in `what`."""
    print(in_one_line(what), flush=True)  # noqa: T201 - the program's log


class Complaints:
    """What goes wrong in something that is tried again and again: said when it begins, and when it changes."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    @contextmanager
    def about(self, what: str, kinds: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
        """A block whose errors of these `kinds` end here, as `what: why` in the log."""
        try:
            yield
        except kinds as error:
            # Others' messages may hold what an address must not tell.
            why = str(error) if isinstance(error, SeatrialError) else type(error).__name__
            if self._said.get(what) != why:
                say(f"{what}: {why}")
            self._said[what] = why
        else:
            self._said.pop(what, None)
