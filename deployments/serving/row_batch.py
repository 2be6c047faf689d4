"""Rows of one request, or of several, in the form that models take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from deployments.serving.model_metadata import Feature, Kind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows` rows, at least one.

    `numbers` is a float64 array of shape (rows, numeric features) in C order, NaN where a value is missing;
    `categories` holds one sequence of `rows` texts, None where missing, for each categorical feature. Both keep the
    order that the features of their kind have in the model's description.
    """

    rows: int
    numbers: "np.ndarray"
    categories: tuple[Sequence[str | None], ...]

    def frame(self, features: Sequence[Feature]) -> "pd.DataFrame":
        """The same as the frame that a pipeline was trained on: its columns in the order of `features`.

        It is the model's to change.
        """
        import pandas as pd

        index = pd.RangeIndex(self.rows)
        numbers, categories = iter(self.numbers.T.copy()), iter(self.categories)
        columns = {
            feature.name: next(numbers)
            if feature.kind is Kind.NUMERIC
            else pd.Series(next(categories), dtype=object, index=index)
            for feature in features
        }
        return pd.DataFrame(columns, index=index, copy=False)

    def each(self) -> "Iterator[Batch]":
        """Every row as a batch of its own."""
        for row in range(self.rows):
            yield Batch(1, self.numbers[row : row + 1], tuple(column[row : row + 1] for column in self.categories))


def joined(batches: Sequence[Batch]) -> Batch:
    """The rows of all, in their order. `batches` are at least one, of the same features."""
    import numpy as np

    numbers = np.concatenate([batch.numbers for batch in batches])
    columns = zip(*(batch.categories for batch in batches), strict=True)
    return Batch(sum(batch.rows for batch in batches), numbers, tuple(list(chain(*column)) for column in columns))
