"""From a batch to the matrix that the last step of a pipeline takes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deployments.serving.compiled.categorical_encoding import Categories, tabulate
from deployments.serving.compiled.compiled_model import NotCompiled, Unusual
from deployments.serving.compiled.numeric_features import Numbers, Step, compile_steps, flattened
from deployments.serving.model_metadata import Feature, Kind
from deployments.serving.row_batch import Batch


@dataclass(frozen=True, slots=True)
class Features:
    """`blocks` side by side make a row of the matrix, which is `width` wide and then goes through `later` steps.

    `slots` says which part of the numbers that may differ from 0 comes of each block. `sparse` is the class of the
    matrix, None for an array, which is in Fortran order where `by_column`.
    """

    blocks: tuple[Numbers | Categories, ...]
    slots: tuple[slice, ...]
    width: int
    sparse: Any = None
    by_column: bool = False
    later: tuple[Step, ...] = ()

    def known_categories(self) -> dict[int, list[str | None]]:
        """What each column of a batch's categories may hold, by its place; None only where it may be missing."""
        blocks = [block for block in self.blocks if isinstance(block, Categories)]
        return {place: [*rows] for block in blocks for place, rows in zip(block.columns, block.rows, strict=True)}

    def entries(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Where in the matrix, and what: two arrays of shape (rows, slots). Raises `Unusual`."""
        self.refuse_infinite(batch)
        shape = (batch.rows, self.slots[-1].stop)
        positions, values = np.empty(shape, np.int32), np.empty(shape)
        for block, slots in zip(self.blocks, self.slots, strict=True):
            block.fill(batch, positions[:, slots], values[:, slots])
        return positions, values

    def refuse_infinite(self, batch: Batch) -> None:
        """Raises `Unusual` for infinite numbers, which some steps refuse and others do not."""
        if np.isinf(batch.numbers).any():
            raise Unusual

    def dense(self, batch: Batch) -> np.ndarray:
        """The matrix as an array of float64, also where the estimator is given a sparse one. Raises `Unusual`."""
        first = self.blocks[0]
        if isinstance(first, Numbers) and first.slots == self.width:
            self.refuse_infinite(batch)
            return self._behind(first.made_of(batch))
        positions, values = self.entries(batch)
        matrix = np.zeros((batch.rows, self.width))
        matrix.put(positions + np.arange(0, matrix.size, self.width)[:, np.newaxis], values)
        return self._behind(matrix)

    def _behind(self, matrix: np.ndarray) -> np.ndarray:
        for step in self.later:
            matrix = step(matrix)
        return np.asfortranarray(matrix) if self.by_column else matrix

    def matrix(self, batch: Batch) -> Any:
        """Exactly what the estimator is given. Raises `Unusual`."""
        if self.sparse is None:
            return self.dense(batch)
        positions, values = self.entries(batch)
        matrix = self.sparse((values.ravel(), positions.ravel(), row_starts(positions)), (batch.rows, self.width))
        matrix.eliminate_zeros()
        return matrix


def row_starts(positions: np.ndarray) -> np.ndarray:
    """Where each row of a compressed sparse matrix begins, if all have the same number of entries."""
    rows, slots = positions.shape
    return np.arange(0, rows * slots + 1, slots, dtype=np.int32)


def compile_features(steps: Sequence[Any], features: Sequence[Feature]) -> Features:
    """What all these fitted transformers do to a batch. Raises `NotCompiled`."""
    from sklearn.compose import ColumnTransformer

    if steps and type(steps[0]) is ColumnTransformer:
        blocks, width = _blocks(steps[0], features), sum(map(_width, steps[0].output_indices_.values()))
        later = compile_steps(steps[1:])
    elif any(feature.kind is Kind.CATEGORICAL for feature in features):
        raise NotCompiled("categories that nothing encodes")
    else:
        blocks, width = (Numbers(None, (), np.arange(len(features))),), len(features)
        later = compile_steps(steps)
    ends = [*itertools.accumulate((block.slots for block in blocks), initial=0)]
    slots = tuple(itertools.starmap(slice, itertools.pairwise(ends)))
    return _as_given(Features(blocks, slots, width, later=later), steps, features)


def _blocks(transformer: Any, features: Sequence[Feature]) -> tuple[Numbers | Categories, ...]:
    parts = [
        (transformer.output_indices_[name], fitted, columns) for name, fitted, columns in transformer.transformers_
    ]
    wanted = [part for part in parts if _width(part[0])]
    return tuple(_block(fitted, columns, outputs, features) for outputs, fitted, columns in wanted)


def _block(fitted: Any, columns: Any, outputs: slice, features: Sequence[Feature]) -> Numbers | Categories:
    if isinstance(columns, str | slice) or not all(isinstance(column, str) for column in columns):
        raise NotCompiled("columns without names")
    names = [str(column) for column in columns]
    kinds = {feature.kind for feature in features if feature.name in names}
    if len(kinds) != 1:
        raise NotCompiled("numbers and categories in one transformer")
    alike = [feature.name for feature in features if feature.kind in kinds]
    places = [alike.index(name) for name in names]
    if Kind.CATEGORICAL in kinds:
        return tabulate(fitted, names, tuple(places), outputs)
    everything = places == list(range(len(alike)))
    steps = compile_steps(flattened(fitted))
    return Numbers(None if everything else np.array(places), steps, np.arange(outputs.start, outputs.stop))


def _width(outputs: slice) -> int:
    return int(outputs.stop - outputs.start)


def _as_given(compiled: Features, steps: Sequence[Any], features: Sequence[Feature]) -> Features:
    """With the kind of matrix that the steps really give, here of a few ordinary rows."""
    from scipy import sparse
    from sklearn.utils import check_array

    given = ordinary_rows(compiled, features, 3).frame(features)
    for step in steps:
        given = step.transform(given)
    if not steps:
        given = check_array(given, dtype=np.float64)
    if given.dtype != np.float64 or (sparse.issparse(given) and compiled.later):
        raise NotCompiled(f"a matrix of {given.dtype}")
    if sparse.issparse(given):
        return replace(compiled, sparse=type(given))
    return replace(compiled, by_column=given.flags.f_contiguous and not given.flags.c_contiguous)


def ordinary_rows(compiled: Features, features: Sequence[Feature], rows: int) -> Batch:
    """Rows of zeros, and of categories that training saw."""
    count = sum(feature.kind is Kind.NUMERIC for feature in features)
    categories: list[Sequence[str | None]] = [[None] * rows] * (len(features) - count)
    for column, known in compiled.known_categories().items():
        categories[column] = [next(iter(known), None)] * rows
    return Batch(rows, np.zeros((rows, count)), tuple(categories))
