"""Class labels as text, the one form in which predictions and the truth are compared."""

import sys
from typing import Any, Final

# The metric whose value is the truth.
LABEL: Final = "label"
_AS_NUMBER = {"true": "1", "false": "0"}


def label_text(label: Any) -> str:
    """A label as text: `true`, `7` also for 7.0."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return sys.intern(str(int(label)) if isinstance(label, float) and label.is_integer() else str(label))


def same_label(one: str, other: str) -> bool:
    """Whether two texts name the same class; `true` is the same as `1`, for callers write it either way."""
    return _AS_NUMBER.get(one, one) == _AS_NUMBER.get(other, other)
