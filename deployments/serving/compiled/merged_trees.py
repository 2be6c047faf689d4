"""Many trees as one: branches that lead from a new root to the tree whose number a further column holds.

So one call of scikit-learn's own walk answers for all trees, which is what a request of few rows needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# One call a tree is cheaper for more numbers than this, as measured by benchmarks/quick.py.
_MOST_NUMBERS = 400_000
# Numbers from which adding array to array is quicker than numpy's accumulation, which keeps each sum on the way.
_LONG = 128
# Beyond this, a second copy of the nodes costs more memory than speed is worth.
MOST_NODES = 1_000_000
# The same of the numbers in its nodes, of which one of a classifier has as many as there are classes.
MOST_VALUES = 4_000_000
# What the leaves of all trees say of the rows of a request is in memory at once; one call a tree needs no such room.
_MOST_SAID = 1_000_000


@dataclass(frozen=True, slots=True)
class Branches:
    """The first nodes of the grove, one less than there are trees, and where each tree begins behind them."""

    thresholds: np.ndarray
    left: np.ndarray
    right: np.ndarray
    roots: np.ndarray


def branches_to(node_counts: Sequence[int]) -> Branches:
    """Balanced: the way to each of n trees is log2(n) nodes long."""
    roots = len(node_counts) - 1 + np.concatenate(([0], np.cumsum(node_counts)[:-1]))
    nodes: list[tuple[float, int, int]] = []

    def branch(first: int, end: int) -> int:
        if end - first == 1:
            return int(roots[first])
        place, middle = len(nodes), (first + end) // 2
        nodes.append((0.0, 0, 0))
        nodes[place] = (middle - 0.5, branch(first, middle), branch(middle, end))
        return place

    branch(0, len(node_counts))
    table = np.array(nodes).reshape(-1, 3)
    return Branches(table[:, 0], table[:, 1].astype(np.intp), table[:, 2].astype(np.intp), roots)


def is_worthwhile(matrix: np.ndarray, trees: int, values: int) -> bool:
    """Whether the walk through the grove is cheaper than one call a tree; a leaf says so many `values`."""
    return (matrix.size + len(matrix)) * trees <= _MOST_NUMBERS and len(matrix) * trees * values <= _MOST_SAID


def numbered(matrix: np.ndarray, trees: int) -> np.ndarray:
    """The rows once for each tree, whose number is their last column: shape (trees * rows, width + 1)."""
    rows, width = matrix.shape
    repeated = np.empty((trees, rows, width + 1), matrix.dtype)
    repeated[:, :, :width] = matrix
    repeated[:, :, width] = np.arange(trees)[:, np.newaxis]
    return repeated.reshape(trees * rows, width + 1)


def summed(terms: np.ndarray) -> np.ndarray:
    """The sum over the first axis, added one after the other: `sum` would add in pairs."""
    if terms[0].size < _LONG:
        accumulated: np.ndarray = np.add.accumulate(terms, axis=0)[-1, ...]
        return accumulated
    total: np.ndarray = terms[0].copy()
    for term in terms[1:]:
        total += term
    return total
