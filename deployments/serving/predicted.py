"""What an answer predicted, in a form that any two versions share: labels as text, scores and numbers by a fixed grid.

The grid needs no configuration, so that the counts of two versions can be laid side by side. A label is its own bin, or
shares one of 1,000 when there are more classes than that. Probabilities of two classes go by tenths of the second,
those of more classes by the likeliest class. A number goes by its sign and by quarters of an octave (factors of 1.19)
from 2^-20 to 2^60: that is coarse where all predictions lie close together, such as years.
"""

import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import frexp
from typing import Any, Final

from deployments.metrics.labels import label_text

ROWS_KEPT: Final = 50
_MOST_LABELS = 1000
_SMALLEST, _LARGEST = -20, 60  # octaves; closer to 0 counts as 0
_QUARTERS = tuple(0.5 * 2 ** (quarter / 4) for quarter in (1, 2, 3))
_EDGES = tuple(f"{2.0 ** (quarter / 4):.3g}" for quarter in range(_SMALLEST * 4, _LARGEST * 4 + 1))
_ABOVE = (*(f"{low}..{high}" for low, high in pairwise(_EDGES)), f">={_EDGES[-1]}")
_BELOW = (*(f"-{high}..-{low}" for low, high in pairwise(_EDGES)), f"<=-{_EDGES[-1]}")
_TENTHS = tuple(f"{tenth / 10}..{(tenth + 1) / 10}" for tenth in range(10))


@dataclass(frozen=True, slots=True)
class Predicted:
    """`kept` holds the predicted label, as text, or number of each of the first `ROWS_KEPT` rows; `bins` counts all."""

    kept: tuple[str | float, ...]
    bins: Mapping[str, int]


def predicted(rows: Sequence[Any], classes: Sequence[Any]) -> Predicted:
    """What `rows` say: probabilities of `classes`, labels among them, or numbers of a model that has none."""
    first = rows[0] if rows else None
    if classes and isinstance(first, list):
        return _of_probabilities(rows, [label_text(label) for label in classes])
    if classes or not isinstance(first, int | float):
        labels = [label_text(label) for label in rows]
        return Predicted(tuple(labels[:ROWS_KEPT]), Counter(_bin_of_label(label, len(classes)) for label in labels))
    return Predicted(tuple(map(float, rows[:ROWS_KEPT])), Counter(map(bin_of_number, rows)))


def bin_of_number(number: float) -> str:
    """Name of the bin that a finite number falls into, such as `1.19..1.41`; bins end before their outer bound."""
    mantissa, exponent = frexp(abs(number))
    position = (exponent - 1 - _SMALLEST) * 4 + bisect_right(_QUARTERS, mantissa)
    if number == 0 or position < 0:
        return "0"
    names = _ABOVE if number > 0 else _BELOW
    return names[min(position, len(names) - 1)]


def _of_probabilities(rows: Sequence[Sequence[float]], labels: Sequence[str]) -> Predicted:
    kept = tuple(labels[_likeliest(row)] for row in rows[:ROWS_KEPT])
    if len(labels) == 2:
        return Predicted(kept, Counter(_TENTHS[min(9, int(row[1] * 10))] for row in rows))
    return Predicted(kept, Counter(_bin_of_label(labels[_likeliest(row)], len(labels)) for row in rows))


def _likeliest(row: Sequence[float]) -> int:
    return max(range(len(row)), key=row.__getitem__)


def _bin_of_label(label: str, classes: int) -> str:
    if classes and classes <= _MOST_LABELS:
        return label
    return f"hash {zlib.crc32(label.encode()) % _MOST_LABELS}"
