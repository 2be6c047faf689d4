"""Categorical columns as tables: what the fitted encoder makes of each category, asked of it once, at loading.

No encoder's rules are written anew: known categories, an unseen one and a missing one go through the fitted steps.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from deployments.serving.compiled.compiled_model import NotCompiled, Unusual
from deployments.serving.compiled.numeric_features import flattened
from deployments.serving.row_batch import Batch

UNSEEN: Final = "\x00 a category that no training saw"
# Bigger tables cost more at loading than they can save.
_MOST_CELLS = 30_000_000


class Rows(dict[str | None, int]):
    """Row of the table by category; `unseen` is that of all others, None if the encoder refuses them."""

    unseen: int | None = None

    def __missing__(self, category: str | None) -> int:
        """Raises `Unusual` where the encoder refuses."""
        if category is None or self.unseen is None:
            raise Unusual
        return self.unseen


@dataclass(frozen=True, slots=True)
class Categories:
    """`columns` of a batch's categories. A row of the tables has the numbers that are not 0, and where they stand."""

    columns: tuple[int, ...]
    rows: tuple[Rows, ...]
    positions: np.ndarray
    values: np.ndarray

    @property
    def slots(self) -> int:
        """How many numbers of a row come of it."""
        return len(self.columns) * int(self.values.shape[1])

    def fill(self, batch: Batch, positions: np.ndarray, values: np.ndarray) -> None:
        """Writes where the numbers stand in the matrix, and what they are. Raises `Unusual`."""
        found = self.found(batch)
        positions[...] = self.positions.take(found, axis=0).reshape(positions.shape)
        values[...] = self.values.take(found, axis=0).reshape(values.shape)

    def found(self, batch: Batch) -> np.ndarray:
        """Rows of the tables, shape (rows, columns). Raises `Unusual`."""
        pairs = zip(self.columns, self.rows, strict=True)
        return np.array([[*map(rows.__getitem__, batch.categories[column])] for column, rows in pairs]).T


def tabulate(fitted: Any, names: Sequence[str], columns: tuple[int, ...], outputs: slice) -> Categories:
    """Tables of a fitted encoder and what comes before it; `outputs` are its columns of the matrix."""
    known = _known_categories(fitted, len(names))
    if max(map(len, known)) * (outputs.stop - outputs.start) > _MOST_CELLS:
        raise NotCompiled("too many categories")
    tables, rows, count = [], [], 0
    for column in range(len(names)):
        found, encoded = _asked(fitted, names, known, column)
        rows.append(_numbered(found, count))
        tables.append(_Table(encoded))
        count += len(found)
    _check_order(tables)
    slots = max(table.slots for table in tables)
    parts = [table.padded(slots) for table in tables]
    positions = np.concatenate([part[0] for part in parts]) + np.int32(outputs.start)
    return Categories(columns, tuple(rows), positions, np.concatenate([part[1] for part in parts]))


def _known_categories(fitted: Any, count: int) -> list[list[str]]:
    for step in flattened(fitted):
        if (learned := getattr(step, "categories_", None)) is not None and len(learned) == count:
            return [[category for category in column if isinstance(category, str)] for column in learned]
    raise NotCompiled("no encoder that lists its categories")


def _asked(fitted: Any, names: Sequence[str], known: list[list[str]], column: int) -> tuple[list[str | None], Any]:
    """The categories of one column that the encoder takes, and what it makes of them."""
    from scipy import sparse

    usual = [categories[0] if categories else None for categories in known]
    asked: list[list[str | None]] = [[*known[column]], [None], [UNSEEN]]
    found: list[str | None] = []
    outputs = []
    for categories in filter(None, asked):
        output = _transformed(fitted, names, [[*usual[:column], each, *usual[column + 1 :]] for each in categories])
        if output is not None:
            found += categories
            outputs.append(sparse.csr_array(output))
    return found, sparse.vstack(outputs, format="csr")


def _transformed(fitted: Any, names: Sequence[str], rows: list[list[str | None]]) -> Any:
    """None if the encoder refuses these rows."""
    import pandas as pd

    frame = pd.DataFrame(np.array(rows, dtype=object).reshape(len(rows), len(names)), columns=list(names), dtype=object)
    try:
        return fitted.transform(frame)
    except ValueError:
        return None


def _numbered(found: Sequence[str | None], first: int) -> Rows:
    rows = Rows((category, first + row) for row, category in enumerate(found))
    rows.unseen = rows.pop(UNSEEN, None)
    return rows


class _Table:
    """What one column decides of the encoder's output: `own` are the columns that differ between its categories."""

    def __init__(self, outputs: Any) -> None:
        starts, positions, values = (part.tolist() for part in (outputs.indptr, outputs.indices, outputs.data))
        rows = [dict(zip(positions[a:b], values[a:b], strict=True)) for a, b in itertools.pairwise(starts)]
        seen = Counter(pair for row in rows for pair in row.items())
        self.fixed = {position for (position, _), count in seen.items() if count == len(rows)}
        self.own = sorted({position for position, _ in seen} - self.fixed)
        self._rows = [{position: row[position] for position in row if position not in self.fixed} for row in rows]

    @property
    def slots(self) -> int:
        """Most numbers of a category that are not 0, at least 1."""
        return max(1, *map(len, self._rows))

    def padded(self, slots: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions in ascending order and values, `slots` a category; what is not needed is a 0 elsewhere in `own`."""
        if len(self.own) < slots:
            raise NotCompiled("a column with fewer outputs than others")
        filled = []
        for row in self._rows:
            spare = (position for position in self.own if position not in row)
            filled.append(
                sorted(row.items() | {(position, 0.0) for position in itertools.islice(spare, slots - len(row))})
            )
        pairs = np.array(filled, dtype=np.float64).reshape(len(filled), slots, 2)
        return pairs[:, :, 0].astype(np.int32), pairs[:, :, 1]


def _check_order(tables: Sequence[_Table]) -> None:
    """Every output belongs to one column, in the order of the columns."""
    own = [position for table in tables for position in table.own]
    fixed = {position for table in tables for position in table.fixed}
    if own != sorted(set(own)) or not fixed <= set(own):
        raise NotCompiled("outputs that depend on several columns, or on none")
