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
from itertools import pairwise
from math import frexp
from typing import TYPE_CHECKING, Any, Final

from deployments.metrics.class_labels import label_text

if TYPE_CHECKING:
    import numpy as np

ROWS_KEPT: Final = 50
_MOST_LABELS = 1000
_FEW = 16  # rows up to which a loop is quicker than arrays
_SMALLEST, _LARGEST = -20, 60  # octaves; closer to 0 counts as 0
_QUARTERS = tuple(0.5 * 2 ** (quarter / 4) for quarter in (1, 2, 3))
_EDGES = tuple(f"{2.0 ** (quarter / 4):.3g}" for quarter in range(_SMALLEST * 4, _LARGEST * 4 + 1))
_ABOVE = (*(f"{low}..{high}" for low, high in pairwise(_EDGES)), f">={_EDGES[-1]}")
_BELOW = (*(f"-{high}..-{low}" for low, high in pairwise(_EDGES)), f"<=-{_EDGES[-1]}")
_TENTHS = tuple(f"{tenth / 10}..{(tenth + 1) / 10}" for tenth in range(10))


class Bins:
    """Counts and names what a model with these classes predicts; a regression has none.

    Answers are arrays of one row a request's row: probabilities of the classes (rows, classes), else labels or numbers
    (rows,). Those of an unusual model are counted by their text.
    """

    def __init__(self, classes: Sequence[Any]) -> None:
        self._labels = tuple(label_text(label) for label in classes)
        self._names = tuple(_bin_of_label(label, len(classes)) for label in self._labels)

    def counted(self, answers: "np.ndarray[Any, Any]") -> Mapping[str, int]:
        """How many rows fall into each bin."""
        if self._labels and answers.ndim == 2:
            return self._of_probabilities(answers)
        if not self._labels and answers.ndim == 1 and answers.dtype.kind in "fiu":
            return _of_numbers(answers)
        of_labels: Counter[str] = Counter()
        for text, count in Counter(map(label_text, answers.tolist())).items():
            of_labels[_bin_of_label(text, len(self._labels))] += count
        return of_labels

    def shares(self, answers: "np.ndarray[Any, Any]") -> Mapping[str, float]:
        """Which share of the rows falls into each bin: the rows of one request are one observation."""
        counted, rows = self.counted(answers), len(answers)
        return counted if rows == 1 else {name: count / rows for name, count in counted.items()}

    def kept(self, answers: "np.ndarray[Any, Any]") -> tuple[str | float, ...]:
        """The predicted label, as text, or number of each of the first `ROWS_KEPT` rows."""
        first = answers[:ROWS_KEPT]
        if self._labels and first.ndim == 2:
            return tuple(self._labels[index] for index in first.argmax(axis=1))
        rows = first.tolist()
        if self._labels or answers.dtype.kind not in "fiu":
            return tuple(map(label_text, rows))
        return tuple(map(float, rows)) if first.ndim == 1 else tuple(map(str, rows))

    def _of_probabilities(self, answers: "np.ndarray[Any, Any]") -> Mapping[str, int]:
        if len(self._labels) == 2:
            if len(answers) == 1:
                return {_TENTHS[min(9, int(answers[0, 1] * 10))]: 1}
            places, names = (answers[:, 1] * 10).astype(int).clip(0, 9), _TENTHS
        else:
            places, names = answers.argmax(axis=1), self._names
        return _sums(places, names)


def bin_of_number(number: float) -> str:
    """Name of the bin that a finite number falls into, such as `1.19..1.41`; bins end before their outer bound."""
    mantissa, exponent = frexp(abs(number))
    position = (exponent - 1 - _SMALLEST) * 4 + bisect_right(_QUARTERS, mantissa)
    if number == 0 or position < 0:
        return "0"
    names = _ABOVE if number > 0 else _BELOW
    return names[min(position, len(names) - 1)]


def _of_numbers(numbers: "np.ndarray[Any, Any]") -> Mapping[str, int]:
    """As `bin_of_number` names them; many at once."""
    import numpy as np

    if len(numbers) < _FEW:
        return Counter(map(bin_of_number, numbers.tolist()))
    mantissa, exponent = np.frexp(np.abs(numbers.astype(np.float64)))
    position = (exponent.astype(np.int64) - 1 - _SMALLEST) * 4 + np.searchsorted(_QUARTERS, mantissa, side="right")
    place = position.clip(-1, len(_ABOVE) - 1) + 1
    place[numbers == 0] = 0
    return _sums(np.where(numbers < 0, -place, place) + len(_BELOW), (*reversed(_BELOW), "0", *_ABOVE))


def _sums(places: "np.ndarray[Any, Any]", names: Sequence[str]) -> Mapping[str, int]:
    """`names` may repeat, as labels that share a bin do."""
    import numpy as np

    counts = np.bincount(places, minlength=len(names))
    found: Counter[str] = Counter()
    for place in counts.nonzero()[0].tolist():
        found[names[place]] += int(counts[place])
    return found


def _bin_of_label(label: str, classes: int) -> str:
    if classes and classes <= _MOST_LABELS:
        return label
    return f"hash {zlib.crc32(label.encode()) % _MOST_LABELS}"
