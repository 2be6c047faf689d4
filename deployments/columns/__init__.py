"""What a value of a column means, the same for training, the gate and the server, whatever it comes as.

Belongs here: how the text of a number, a truth value, a moment or a missing value is read, and which of the categories
that training saw a value is. Does not belong here: reading files (`tasks.datasets`), requests (`deployments.serving`).
"""

from deployments.columns.category_matching import MISSING, Categories, text_of
from deployments.columns.column_semantics import (
    DOUBLE,
    USUAL,
    USUAL_NULLS,
    Held,
    Meaning,
    meaning_from,
    meaning_written,
)
from deployments.columns.number_parsing import is_number, number_in

__all__ = [
    "DOUBLE",
    "MISSING",
    "USUAL",
    "USUAL_NULLS",
    "Categories",
    "Held",
    "Meaning",
    "is_number",
    "meaning_from",
    "meaning_written",
    "number_in",
    "text_of",
]
