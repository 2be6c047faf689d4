"""The last answers that another version answered too: `deployments.metrics.paired_predictions` compares the two."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

KEPT: Final = 20_000
# Of all answers together: those about many rows have many.
_MOST_VALUES: Final = 200_000
_MOST_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class RecentAnswer:
    """`mirrored`: nobody but us got the answer. `predicted`: a label or number a row; None for a failed request."""

    number: int
    request_id: str
    mirrored: bool
    predicted: tuple[str | float, ...] | None


class RecentAnswers:
    """The last answers, numbered from 1 on without a gap. Not for several threads: only the event loop touches it."""

    def __init__(self, capacity: int = KEPT, values: int = _MOST_VALUES) -> None:
        self._answers: deque[RecentAnswer] = deque()
        self._capacity, self._most_values = capacity, values
        self._values = self._last = 0

    @property
    def last(self) -> int:
        """Number of the newest answer; 0 before the first."""
        return self._last

    def keep(self, request_id: str, mirrored: bool, predicted: tuple[str | float, ...] | None) -> None:
        """One more answer; it pushes the oldest ones out when there is no room."""
        self._last += 1
        self._values += len(predicted or ())
        self._answers.append(RecentAnswer(self._last, request_id, mirrored, predicted))
        while len(self._answers) > self._capacity or self._values > self._most_values:
            self._values -= len(self._answers.popleft().predicted or ())

    def after(self, number: int, limit: int) -> tuple[Sequence[RecentAnswer], int]:
        """The oldest answers beyond `number`, at most `limit` (and 2,000), and how many beyond it are forgotten."""
        oldest = self._last - len(self._answers) + 1
        dropped = max(0, oldest - number - 1)
        first = max(0, number + 1 - oldest)
        return tuple(islice(self._answers, first, first + min(limit, _MOST_AT_ONCE))), dropped
