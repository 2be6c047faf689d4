"""Rows with categories that training never saw, counted by column, in all and of late.

A caller whose values mean something else than training's gets answers all the same: this is where it shows.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final

from deployments.serving.model_metadata import Description, Kind
from deployments.serving.row_batch import Batch

# What is of late: so many minutes.
MINUTES: Final = 10


class UnknownCategories:
    """Counts since the start. Not for several threads: only the event loop touches it.

    `usual` is the share of such rows among those that training held out.
    """

    def __init__(self, description: Description) -> None:
        categorical = [each for each in description.features if each.kind is Kind.CATEGORICAL]
        self._columns = [
            (place, each.name, each.meant) for place, each in enumerate(categorical) if each.meant.known is not None
        ]
        self._usual = description.unknown
        self.rows = {name: 0 for _, name, _ in self._columns}
        self._minutes: deque[tuple[int, list[int], Counter[str]]] = deque()

    def count(self, batch: Batch, now: float) -> None:
        """The rows of one answer; `now` in seconds on the monotonic clock."""
        if not self._columns:
            return
        minute = int(now) // 60
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, [0], Counter()))
            self._forget(minute)
        _, rows, found = self._minutes[-1]
        rows[0] += batch.rows
        for place, name, meant in self._columns:
            values = batch.categories[place]
            if not meant.known.issuperset(values):  # type: ignore[union-attr]
                unknown = meant.unknown_in(values)
                self.rows[name] += unknown
                found[name] += unknown

    def of_late(self, now: float) -> Mapping[str, Mapping[str, Any]]:
        """By column with any: `unknown` of `rows` in the last minutes, and the share that was `usual` in training."""
        self._forget(int(now) // 60)
        every = sum(rows[0] for _, rows, _ in self._minutes)
        unknown: Counter[str] = sum((found for _, _, found in self._minutes), Counter())
        return {
            name: {"unknown": count, "rows": every, "usual": self._usual.get(name, 0.0)}
            for name, count in unknown.items()
        }

    def as_text(self) -> str:
        """What was counted, for Prometheus; nothing of a model without categories."""
        if not self.rows:
            return ""
        name = "seatrial_server_unknown_categories_total"
        lines = [
            f"# HELP {name} Rows with a category that training never saw, by column.",
            f"# TYPE {name} counter",
            *(f'{name}{{column="{_escaped(column)}"}} {count}' for column, count in self.rows.items()),
        ]
        return "\n".join(lines) + "\n"

    def _forget(self, minute: int) -> None:
        while self._minutes and self._minutes[0][0] <= minute - MINUTES:
            self._minutes.popleft()


def columns_unknown(description: Description, batch: Batch) -> list[str | None]:
    """For each row the columns whose category training never saw, with commas between; None for a row without any."""
    categorical = [each for each in description.features if each.kind is Kind.CATEGORICAL]
    found: list[str | None] = [None] * batch.rows
    for feature, values in zip(categorical, batch.categories, strict=True):
        known = feature.meant.known
        if known is not None and not known.issuperset(values):
            for row, value in enumerate(values):
                if value not in known:
                    found[row] = feature.name if found[row] is None else f"{found[row]},{feature.name}"
    return found


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
