"""Batches that a compiled model is tried on: ordinary rows, and every kind of row that it might judge otherwise."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from deployments.serving.compiled.categorical_encoding import UNSEEN
from deployments.serving.compiled.feature_matrix import Features
from deployments.serving.compiled.numeric_features import Numbers
from deployments.serving.row_batch import Batch

# Which matrix column a tree asks about, and the threshold: one entry a node.
Splits = tuple[np.ndarray, np.ndarray]
NO_SPLITS: Final[Splits] = (np.empty(0), np.empty(0))

_SEED: Final = 20_260
_SIZES: Final = (1, 2, 7, 32, 300)
_MANY: Final = 100
_USUAL: Final = (0.0, -0.0, 1.0, -1.0, 0.1, 1e-300, 5e-324, 1e6, -1e6)
# The second overflows a float32 only, the third once it is centred or scaled.
_EXTREME: Final = (np.inf, 3.5e38, -1.7e308)
_POINTS: Final = 200


def probes(features: Features, splits: Splits, ordinary: Batch) -> Iterator[Batch]:
    """Seeded batches of all sizes that take ways of their own through numpy or BLAS; the ordinary ones come first."""
    chance = np.random.default_rng(_SEED)
    pools = _numbers_worth_trying(features, splits, ordinary, chance)
    learned = features.known_categories()
    known: list[list[str | None]] = [learned.get(place, [None]) for place in range(len(ordinary.categories))]
    drawn = [_drawn(pools, known, rows, chance) for rows in _SIZES]
    yield from (ordinary, *drawn)
    if known:
        strange: tuple[list[list[str | None]], ...]
        strange = ([[UNSEEN]] * len(known), [[None]] * len(known), [[*each, UNSEEN, None, ""] for each in known])
        for categories, rows in zip(strange, (1, 1, _MANY), strict=True):
            yield _drawn(pools, categories, rows, chance)
    if pools:
        missing = [np.append(pool, [np.nan] * (len(pool) // 3)) for pool in pools]
        yield from (_drawn(missing, known, rows, chance) for rows in (1, _MANY))
        yield from (_with_one(extreme, drawn[1], chance) for extreme in _EXTREME)


def _drawn(
    numbers: Sequence[np.ndarray],
    categories: Sequence[Sequence[str | None]],
    rows: int,
    chance: np.random.Generator,
) -> Batch:
    columns = np.array([chance.choice(pool, rows) for pool in numbers]).reshape(len(numbers), rows)
    texts = tuple([pool[place] for place in chance.integers(len(pool), size=rows)] for pool in categories)
    return Batch(rows, np.ascontiguousarray(columns.T), texts)


def _with_one(extreme: float, batch: Batch, chance: np.random.Generator) -> Batch:
    numbers = batch.numbers.copy()
    numbers[chance.integers(len(numbers)), chance.integers(numbers.shape[1])] = extreme
    return Batch(batch.rows, numbers, batch.categories)


def _numbers_worth_trying(
    features: Features, splits: Splits, ordinary: Batch, chance: np.random.Generator
) -> list[np.ndarray]:
    """For each column: what it was given, what is usual behind the transformers, and where trees split."""
    pools = [np.array([*column[np.isfinite(column)], *_USUAL]) for column in ordinary.numbers.T]
    for block in features.blocks:
        if isinstance(block, Numbers):
            places = range(len(pools)) if block.columns is None else block.columns
            points = _points(block, splits, chance)
            for place, column in zip(places, points.T, strict=False):
                pools[place] = np.append(pools[place], column)
    return pools


def _points(block: Numbers, splits: Splits, chance: np.random.Generator) -> np.ndarray:
    """Numbers that become a threshold in the matrix, exactly or within a bit, and their neighbours."""
    columns, thresholds = splits
    wanted = chance.normal(0, 2, (_POINTS, block.slots))
    for slot, position in enumerate(block.positions):
        if (here := thresholds[columns == position]).size:
            wanted[:, slot] = chance.choice(here, _POINTS)
    at_zero, at_one = block.transformed(np.zeros((1, block.slots))), block.transformed(np.ones((1, block.slots)))
    slope = np.where(at_one == at_zero, 1.0, at_one - at_zero)
    points: np.ndarray = (wanted - at_zero) / slope
    for _ in range(3):
        points += (wanted - block.transformed(points)) / slope
    return np.concatenate([np.nextafter(points, -np.inf), points, np.nextafter(points, np.inf)])
