"""Features that tell the target by themselves: the target by another name, in another unit, or known only after it.

What is said to give it away *entirely* holds in every row, and in so many rows that a feature which is merely very good
would have shown an exception (docs/decisions/0036): the target as text, a straight line of it up to the digits that
were kept, an order that is the target's own, a category or a missing value that settles the class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tasks.data_validation.column_stats import codes, numbers, repeats, row_hashes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

# Without an exception in so many rows, fewer than 1 in 100 are exceptions, with 95 % certainty (the rule of three).
_ROWS_OF_CLASSES: Final = 300
_ROWS_OF_COPIES: Final = 100
_ROWS_OF_NUMBERS: Final = 20
# So many values stand in the target's own order by themselves only if all but a millionth is explained.
_VALUES_IN_ORDER: Final = 100
_FEW: Final = 50
_CLOSE: Final = 0.999
_ENOUGH: Final = 0.5
_BY_CHANCE: Final = 1e-6
_MOST_CLASSES_WITH_GAPS: Final = 4


@dataclass(frozen=True, slots=True)
class Leak:
    """A feature that tells the target; `how` in words. Unless `entirely`, it may as well be a very good feature."""

    feature: str
    entirely: bool
    how: str

    def __str__(self) -> str:
        return f"{self.feature} ({self.how})"


def leaks(frame: "pd.DataFrame", features: Sequence[str], target: str) -> Iterator[Leak]:
    """One for each of `features` that tells `target`. Rows that stand there several times count once."""
    known = frame[frame[target].notna()]
    if (repeats(known) > 1).any():
        known = known[~row_hashes(known).duplicated().to_numpy()]
    truth = _Truth.of(known[target])
    if truth.classes < 2:
        return
    for name in features:
        if leak := _leak(name, known[name], truth):
            yield leak


@dataclass(frozen=True, slots=True)
class _Truth:
    """The target: equal codes for equal values, the number if it is one, and its text."""

    codes: "Array"
    numbers: "Array | None"
    column: "pd.Series[Any]"
    classes: int

    @staticmethod
    def of(column: "pd.Series[Any]") -> "_Truth":
        found = codes(column)
        return _Truth(found, numbers(column), column, len(set(found.tolist())))

    def where(self, chosen: "Array") -> "_Truth":
        number = None if self.numbers is None else self.numbers[chosen]
        return _Truth(self.codes[chosen], number, self.column[chosen], len(set(self.codes[chosen].tolist())))

    @property
    def most_common(self) -> float:
        """Share of the most common value."""
        import numpy as np

        return float(np.unique(self.codes, return_counts=True)[1].max() / len(self.codes))


def _leak(name: str, column: "pd.Series[Any]", truth: _Truth) -> Leak | None:
    found = codes(column)
    known = found >= 0
    if len(set(found.tolist())) < 2:
        return None
    told = truth.where(known)
    found_so = [_settled(found, known, truth)]
    if told.classes > 1:
        enough = bool(known.mean() >= _ENOUGH)
        ways = (_as_number(column, known, told), _as_text(column[known], told))
        found_so += [(way[0] and enough, way[1]) for way in ways if way]
    return max((Leak(name, *way) for way in found_so if way), key=lambda leak: leak.entirely, default=None)


def _settled(found: "Array", known: "Array", truth: _Truth) -> tuple[bool, str] | None:
    """A feature of few values, of which missing is one, each of which goes with one value of the target."""
    import numpy as np

    rows, usual = len(found), found == np.bincount(found[known]).argmax()
    for values, what in (
        (found + 1, "each of its values"),
        (known.astype("int64"), "whether it is there"),
        (usual.astype("int64"), "whether it has its most common value"),
    ):
        kinds = int(np.count_nonzero(np.bincount(values)))
        if 2 <= kinds <= _FEW and len(_pairs(values, truth)) == kinds:
            unlikely = truth.most_common ** (rows - kinds) <= _BY_CHANCE
            how = f"{what} goes with one value of the target in all {rows:,} rows"
            return (rows >= _ROWS_OF_CLASSES, how) if unlikely else None
    return None


def _pairs(values: "Array", truth: _Truth) -> "Array":
    """The first row of each pair of a value (whole numbers from 0 on) and a value of the target."""
    import pandas as pd

    together = pd.Series(values * (int(truth.codes.max()) + 1) + truth.codes)
    return (~together.duplicated()).to_numpy().nonzero()[0]


def _as_number(column: "pd.Series[Any]", known: "Array", told: _Truth) -> tuple[bool, str] | None:
    import numpy as np

    values = numbers(column)
    if values is None:
        return None
    finite = np.isfinite(values[known])
    if told.numbers is not None:
        finite &= np.isfinite(told.numbers)
    values, told = values[known][finite], told.where(finite)
    rows = len(values)
    if rows < 3 or np.ptp(values) == 0:
        return None
    if told.numbers is not None and told.classes > 2 and (found := _of_numbers(values, told.numbers, told.classes)):
        return found
    if told.classes <= _FEW and _runs(values, told.codes) == told.classes:
        unlikely = told.most_common ** (rows - told.classes) <= _BY_CHANCE
        entirely = rows >= _ROWS_OF_CLASSES and _is_sharp(values, told)
        return (entirely, f"its size alone parts the values of the target in all {rows:,} rows") if unlikely else None
    if told.numbers is not None and abs(_correlation(values, told.numbers)) >= _CLOSE:
        return False, f"correlated {_CLOSE:g} or more"
    return None


def _of_numbers(values: "Array", truth: "Array", different: int) -> tuple[bool, str] | None:
    import numpy as np

    rows = len(values)
    if different >= 5 and _is_straight(values, truth):
        return rows >= _ROWS_OF_NUMBERS, f"a straight line of the target in all {rows:,} rows"
    if different > _FEW and _is_in_order(values, truth):
        many = len(np.unique(values)) >= _VALUES_IN_ORDER
        return many, f"in the target's own order in all {rows:,} rows"
    return None


def _as_text(column: "pd.Series[Any]", told: _Truth) -> tuple[bool, str] | None:
    """The target's own values as text, or its classes one to one by other names."""
    import numpy as np

    mine, rows = codes(column), len(column)
    firsts = _pairs(mine, told)
    if not len(firsts) == told.classes == len(np.unique(mine[firsts])):
        return None
    ours, theirs = ([str(value).strip().casefold() for value in each.iloc[firsts]] for each in (column, told.column))
    if ours == theirs and told.most_common**rows <= _BY_CHANCE:
        enough = _ROWS_OF_NUMBERS if told.classes > _FEW else _ROWS_OF_COPIES
        return rows >= enough, f"the target as text in all {rows:,} rows"
    if rows >= 2 * len(firsts) and told.numbers is None:
        return rows >= _ROWS_OF_CLASSES, f"the target's values by other names in all {rows:,} rows"
    return None


def _is_straight(values: "Array", truth: "Array") -> bool:
    """Whether `truth` is a straight line of `values` but for the digits with which both were written."""
    import numpy as np

    with np.errstate(all="ignore"):
        x, y = _scaled(values), _scaled(truth)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return False
        slope = float((x * y).sum() / (x * x).sum())
        worst = float(np.abs(y - slope * x).max())
        spread = float(np.ptp(y))
        kept = _unit(truth) / _scale(truth) + abs(slope) * _unit(values) / _scale(values)
    coarse = 0.005 if len(values) >= 100 else 0.001
    allowed = 0.55 * kept if 0.5 * kept <= coarse * spread else 0.0
    return worst <= max(allowed, 1e-6 * spread)


def _scale(values: "Array") -> float:
    import numpy as np

    return float(np.ptp(values)) or 1.0


def _scaled(values: "Array") -> "Array":
    scaled: Array = values / _scale(values)
    scaled -= scaled.mean()
    return scaled


def _unit(values: "Array") -> float:
    """The power of ten that all values are multiples of, from 1 down to 10^-9; 0 where there is none."""
    import numpy as np

    for digits in range(10):
        shifted = values * 10.0**digits
        if np.abs(shifted).max() > 1e15:
            return 0.0
        if np.abs(shifted - np.round(shifted)).max() <= 1e-9 * max(1.0, float(np.abs(shifted).max())):
            return float(10.0**-digits)
    return 0.0


def _is_in_order(values: "Array", truth: "Array") -> bool:
    """Whether larger values always go with a larger target, or always with a smaller, and equal ones with an equal.

    Equal to 2 % of the target's range: digits may have been lost.
    """
    import numpy as np

    places = np.unique(values, return_inverse=True)[1]
    low, high = (np.full(places.max() + 1, bound) for bound in (np.inf, -np.inf))
    np.minimum.at(low, places, truth)
    np.maximum.at(high, places, truth)
    narrow = bool((high - low <= 0.02 * np.ptp(truth)).all())
    rising, falling = bool((high[:-1] <= low[1:]).all()), bool((low[:-1] >= high[1:]).all())
    return narrow and (rising or falling)


def _runs(values: "Array", truth: "Array") -> int:
    """How often the target changes along the order of `values`, and one; equal values of two classes count as more."""
    import numpy as np

    order = np.lexsort((truth, values))
    change = truth[order][1:] != truth[order][:-1]
    torn = bool((change & (values[order][1:] == values[order][:-1])).any())
    return len(values) + 1 if torn else int(change.sum()) + 1


def _is_sharp(values: "Array", told: _Truth) -> bool:
    """Whether the classes meet without the gap that lies between natural groups: then a rule drew the line."""
    import numpy as np

    if told.classes > _MOST_CLASSES_WITH_GAPS:
        return True
    order = np.argsort(values, kind="stable")
    ordered, found = values[order], told.codes[order]
    steps = np.diff(ordered)
    borders = found[1:] != found[:-1]
    usual = float(np.quantile(steps[~borders], 0.99)) if (~borders).any() else 0.0
    smallest = int(np.unique(found, return_counts=True)[1].min())
    return smallest >= _FEW and bool((steps[borders] <= 3 * usual).all())


def _correlation(values: "Array", truth: "Array") -> float:
    import numpy as np

    with np.errstate(all="ignore"):
        x, y = _scaled(values), _scaled(truth)
        found = float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
    return found if np.isfinite(found) else 0.0
