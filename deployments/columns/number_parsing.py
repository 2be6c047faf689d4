"""The number that a text is."""

import re
from typing import Final

from deployments.columns.column_semantics import Meaning

_PLAIN: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL: Final = re.compile(r"-?0[xX][0-9a-fA-F]{1,16}")
# In India the groups before the last one have two digits.
_GROUPS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:X[0-9]{2,3})*X[0-9]{3}(?![0-9X])")
_LONGEST: Final = 400


def number_in(text: str, meaning: Meaning) -> float:
    """The number that `text` is, NaN for a word for a missing value; a truth value is 1 or 0.

    It may be infinite, if it is too large for a float. Raises `ValueError`, without the text, for any other text.
    """
    if text in meaning.nulls:
        return float("nan")
    plain = text.strip(" \t")
    if len(plain) > _LONGEST:
        raise ValueError("too long for a number")
    if meaning.thousands and meaning.thousands in plain:
        if not _GROUPS.match(plain.replace(meaning.thousands, "X")):
            raise ValueError("signs for thousands where there are none")
        plain = plain.replace(meaning.thousands, "")
    if meaning.decimal != ".":
        if "." in plain:
            raise ValueError("another decimal sign")
        plain = plain.replace(meaning.decimal, ".")
    if _PLAIN.fullmatch(plain):
        return float(plain)
    if _HEXADECIMAL.fullmatch(plain):
        return float(int(plain, 16))
    truth = meaning.truth(plain)
    if truth is None:
        raise ValueError("no number")
    return float(truth)


def is_number(text: str, meaning: Meaning) -> bool:
    """Whether `number_in` takes it."""
    try:
        number_in(text, meaning)
    except ValueError:
        return False
    return True
