"""A journal that does not answer, told apart from every other door that does not."""

from typing import Any, cast

from deployments.errors import Busy, NotFound, SeatrialError
from deployments.journals.protocol import Journal


class JournalAwayError(Exception):
    """The journal did not do what it was asked for; `reason` is its own error.

    No `SeatrialError`, so that nobody waits for the journal, or takes its silence for that of another door, while users
    are still with a candidate.
    """

    def __init__(self, reason: SeatrialError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def raising_when_away(journal: Journal) -> Journal:
    """`journal`, whose every failure is a `JournalAwayError`; that somebody else holds a lease is its answer."""
    return cast("Journal", _Telling(journal))


class _Telling:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._journal, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **keywords: Any) -> Any:
            try:
                return found(*arguments, **keywords)
            except (Busy, NotFound):
                raise
            except SeatrialError as error:
                raise JournalAwayError(error) from error

        return call
