"""How the values of one column are read: what training found or the spec says, kept with the version."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

# What pandas, by which MLflow reads CSV, takes for a missing value.
USUAL_NULLS: Final = frozenset(
    {"", "NULL", "null", "None", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A"}
    | {f"{sign}{word}" for sign in ("", "-") for word in ("NaN", "nan", "1.#IND", "1.#QNAN")}
)
DOUBLE: Final = 64
_TRUE: Final = frozenset({"true"})
_FALSE: Final = frozenset({"false"})


class Held(StrEnum):
    """What the values of a column were where training read them."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Meaning:
    """`held` is None for a version that does not say: it is told from the categories then.

    `nulls` are the words for a missing value, where no category is called so. `decimal` is the sign before decimals and
    `thousands` the one between groups of digits, empty for none. `true` and `false` are words in lower case. `format`
    is that of a moment, as `strptime` has it; None for ISO 8601. Numbers have `bits` (16, 32 or 64) of a float.
    """

    held: Held | None = None
    nulls: frozenset[str] = USUAL_NULLS
    decimal: str = "."
    thousands: str = ""
    true: frozenset[str] = _TRUE
    false: frozenset[str] = _FALSE
    format: str | None = None
    bits: int = DOUBLE

    def as_held(self, numbers: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Float64 numbers with no more digits than training had of them; those beyond its range stay as they are."""
        if self.bits == DOUBLE:
            return numbers
        import numpy as np

        with np.errstate(over="ignore"):
            held = numbers.astype(f"f{self.bits // 8}").astype(np.float64)
        return np.where(np.isfinite(held), held, numbers)

    def narrowed(self, number: float) -> float:
        """The number that has the fewest digits among those that training could not tell from this one."""
        if self.bits == DOUBLE:
            return number
        import numpy as np

        with np.errstate(over="ignore"):
            held = np.dtype(f"f{self.bits // 8}").type(number)
        return float(str(held)) if np.isfinite(held) else number

    def truth(self, text: str) -> bool | None:
        """The truth value that a text is; None if it is none."""
        word = text.strip().lower()
        if word in self.true:
            return True
        return False if word in self.false else None


# Of a column of which nobody said anything.
USUAL: Final = Meaning()


def meaning_written(meaning: Meaning) -> dict[str, Any]:
    """Plain values for a file; only what differs from the usual."""
    written: dict[str, Any] = {}
    if meaning.held is not None:
        written["held"] = meaning.held.value
    for name in ("nulls", "true", "false"):
        if getattr(meaning, name) != getattr(USUAL, name):
            written[name] = sorted(getattr(meaning, name))
    for name in ("decimal", "thousands", "format", "bits"):
        if getattr(meaning, name) != getattr(USUAL, name):
            written[name] = getattr(meaning, name)
    return written


def meaning_from(written: Mapping[str, Any]) -> Meaning:
    """What `meaning_written` wrote. Raises `ValueError` or `TypeError` for anything else."""
    words = {name: frozenset(map(str, written[name])) for name in ("nulls", "true", "false") if name in written}
    texts = {name: str(written[name]) for name in ("decimal", "thousands", "format") if name in written}
    held = Held(written["held"]) if "held" in written else None
    return Meaning(held=held, bits=int(written.get("bits", DOUBLE)), **words, **texts)  # type: ignore[arg-type]
