"""Small trees without a walk: each value of a column closes some leaves, and the first one that stays open is reached.

What a value closes is the same between two thresholds, and for a category; so it is looked up, for all trees at once.
The idea is that of QuickScorer (Lucchese et al., SIGIR 2015).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from deployments.serving.compiled.categorical_encoding import Categories
from deployments.serving.compiled.compiled_model import NotCompiled
from deployments.serving.compiled.feature_matrix import Features
from deployments.serving.compiled.numeric_features import Numbers
from deployments.serving.compiled.threshold_bins import Cells
from deployments.serving.row_batch import Batch

_MOST_LEAVES: Final = 64
_MOST_BYTES: Final = 64 * 1024 * 1024
# Rows up to which one call for all columns is quicker than one a column.
_FEW: Final = 16
# Rows whose open leaves stay in a core's own cache.
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree; a leaf has no `left`. NaN goes left where `missing_left`."""

    value: float
    column: int
    threshold: float
    missing_left: bool
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class _Split:
    """What a node asks, and the leaves of its tree that stay open to whatever goes right, as bits."""

    node: Node
    tree: int
    open: int


class Masks:
    """Values of the leaves that rows reach. Raises `NotCompiled` if the trees are too big."""

    def __init__(self, trees: Sequence[Sequence[Node]], features: Features) -> None:
        if features.later:
            raise NotCompiled("columns that are not those of a batch")
        split = [_split_up(nodes, number) for number, nodes in enumerate(trees)]
        leaves = max(len(values) for _, values in split)
        if leaves > _MOST_LEAVES:
            raise NotCompiled("too many leaves")
        self._features = features
        self._values = np.concatenate([np.resize(values, leaves) for _, values in split])
        self._first = np.arange(len(trees))[:, np.newaxis] * leaves
        self._parts: list[_NumberPlaces | _CategoryPlaces] = []
        tables = _tables([each for splits, _ in split for each in splits], len(trees), _bits(leaves))
        stacked: list[np.ndarray] = []
        for block in features.blocks:
            start = sum(len(each) for each in stacked)
            part: _NumberPlaces | _CategoryPlaces
            if isinstance(block, Numbers):
                part = _NumberPlaces(block, tables, start)
            else:
                part = _CategoryPlaces(block, tables, start)
            self._parts.append(part)
            stacked += part.open
        self._open = np.concatenate(stacked)

    def leaf_values(self, batch: Batch) -> np.ndarray:
        """Shape (trees, rows). Raises `Unusual`."""
        self._features.refuse_infinite(batch)
        places = np.concatenate([part.places(batch) for part in self._parts], axis=1)
        if batch.rows <= _AT_ONCE:
            return self._looked_up(places)
        parts = [places[start : start + _AT_ONCE] for start in range(0, batch.rows, _AT_ONCE)]
        return np.concatenate([self._looked_up(part) for part in parts], axis=1)

    def _looked_up(self, places: np.ndarray) -> np.ndarray:
        still_open = self._few(places) if len(places) <= _FEW else self._many(places)
        leaf = np.bitwise_count(~still_open & (still_open - self._open.dtype.type(1)))
        values: np.ndarray = self._values.take(leaf.T + self._first)
        return values

    def _few(self, places: np.ndarray) -> np.ndarray:
        still_open: np.ndarray = np.bitwise_and.reduce(self._open.take(places, axis=0), axis=1)
        return still_open

    def _many(self, places: np.ndarray) -> np.ndarray:
        still_open: np.ndarray = self._open.take(places[:, 0], axis=0)
        for column in places.T[1:]:
            still_open &= self._open.take(column, axis=0)
        return still_open


@dataclass(frozen=True, slots=True)
class _Table:
    """Of one column: the leaves that its values leave open, a row a stretch between `thresholds`, the last for NaN."""

    thresholds: np.ndarray
    open: np.ndarray

    def places(self, values: np.ndarray) -> np.ndarray:
        """Rows of the table."""
        found: np.ndarray = np.searchsorted(self.thresholds, values)
        missing = np.isnan(values)
        if missing.any():
            found[missing] = len(self.thresholds) + 1
        return found


class _NumberPlaces:
    def __init__(self, block: Numbers, tables: dict[int, _Table], start: int) -> None:
        self._block = block
        self._used = [slot for slot, position in enumerate(block.positions.tolist()) if position in tables]
        mine = [tables[int(block.positions[slot])] for slot in self._used]
        self.open = [table.open for table in mine]
        starts = start + np.cumsum([0, *map(len, self.open)])[:-1]
        self._cells = Cells([table.thresholds for table in mine], starts) if mine else None
        self._one_row = [
            (slot, table.thresholds.tolist(), first)
            for slot, table, first in zip(self._used, mine, starts.tolist(), strict=True)
        ]

    def places(self, batch: Batch) -> np.ndarray:
        values = self._block.made_of(batch)
        if batch.rows == 1:
            row = values[0].tolist()
            found = [first + _place(thresholds, row[slot]) for slot, thresholds, first in self._one_row]
            return np.array([found], dtype=np.intp)
        if self._cells is None:
            return np.empty((batch.rows, 0), dtype=np.intp)
        return self._cells.places(values if len(self._used) == values.shape[1] else values[:, self._used])


class _CategoryPlaces:
    def __init__(self, block: Categories, tables: dict[int, _Table], start: int) -> None:
        self._block = block
        self._start = start
        like = next(iter(tables.values())).open
        combined = np.full((len(block.values), like.shape[1]), _all_open(like.dtype), like.dtype)
        for rows in block.rows:
            mine = [row for row in (*rows.values(), rows.unseen) if row is not None]
            for position in set(np.unique(block.positions[mine]).tolist()) & tables.keys():
                here = np.where(block.positions[mine] == position, block.values[mine], 0.0).sum(axis=1)
                combined[mine] &= tables[position].open[tables[position].places(here)]
        self.open = [combined]

    def places(self, batch: Batch) -> np.ndarray:
        return self._block.found(batch) + self._start


def _place(thresholds: list[float], value: float) -> int:
    return bisect_left(thresholds, value) if value == value else len(thresholds) + 1  # noqa: PLR0124 - NaN


def _split_up(nodes: Sequence[Node], tree: int) -> tuple[list[_Split], list[float]]:
    """What the nodes of a tree ask, and the values of its leaves from left to right."""
    splits: list[_Split] = []
    values: list[float] = []

    def visit(node: Node) -> None:
        if not node.left:
            values.append(node.value)
            return
        first = len(values)
        visit(nodes[node.left])
        splits.append(_Split(node, tree, ~((1 << len(values)) - (1 << first))))
        visit(nodes[node.right])

    visit(nodes[0])
    return splits, values


def _tables(splits: Sequence[_Split], trees: int, kind: np.dtype[Any]) -> dict[int, _Table]:
    """By column. Raises `NotCompiled` if they are too big, or if no tree asks anything."""
    by_column: dict[int, list[_Split]] = {}
    for split in splits:
        by_column.setdefault(split.node.column, []).append(split)
    distinct = {column: np.unique([each.node.threshold for each in mine]) for column, mine in by_column.items()}
    if not 0 < sum(len(each) + 2 for each in distinct.values()) * trees * kind.itemsize <= _MOST_BYTES:
        raise NotCompiled("too many thresholds")
    return {column: _table(mine, distinct[column], trees, kind) for column, mine in by_column.items()}


def _table(splits: Sequence[_Split], thresholds: np.ndarray, trees: int, kind: np.dtype[Any]) -> _Table:
    everything = _all_open(kind)
    table = np.full((len(thresholds) + 2, trees), everything, kind)
    places = np.searchsorted(thresholds, [each.node.threshold for each in splits])
    for split, place in zip(splits, places.tolist(), strict=True):
        still_open = kind.type(split.open & everything)
        table[place + 1, split.tree] &= still_open
        if not split.node.missing_left:
            table[-1, split.tree] &= still_open
    np.bitwise_and.accumulate(table[:-1], axis=0, out=table[:-1])
    return _Table(thresholds, table)


def _bits(leaves: int) -> np.dtype[Any]:
    return np.dtype(next(f"u{size}" for size in (1, 2, 4, 8) if leaves <= 8 * size))


def _all_open(kind: np.dtype[Any]) -> int:
    return int(np.iinfo(kind).max)
