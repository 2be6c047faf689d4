"""What a compiled model is to the server."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployments.serving.row_batch import Batch

if TYPE_CHECKING:
    import numpy as np


class Unusual(Exception):
    """Rows that only the frame path may judge: it refuses them, or does with them what nobody compiled."""


class NotCompiled(Exception):
    """A model with a part that nothing here knows."""


@dataclass(frozen=True, slots=True)
class Quick:
    """Answers with the bits of the frame path's; `how` they are made is `linear`, `trees`, `boosting` or `arrays`.

    Both raise `Unusual` for rows that the frame path has to judge. An estimator without `predict_proba` has None.
    """

    how: str
    predict: "Callable[[Batch], np.ndarray]"
    predict_proba: "Callable[[Batch], np.ndarray] | None"

    @property
    def at_once(self) -> bool:
        """Whether a few rows take less time than it takes to hand them to a thread."""
        return self.how != "arrays"
