"""What a column takes, in words for people and as a JSON schema; made of its meaning, and of none of its data."""

import re
from typing import Any, Final

from deployments.columns import DOUBLE, USUAL, USUAL_NULLS, Held
from deployments.serving.model_metadata import Feature, Kind

_NULLS_SHOWN: Final = 6
# Of what `deployments.columns.number_in` takes; escaped only where every dialect of patterns takes it.
_NUMBER: Final = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?0[xX][0-9a-fA-F]+"
_TRUTH: Final = r"[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]"
_SPECIAL: Final = re.compile(r"[\\^$.|?*+()\[\]{}]")


def accepted(feature: Feature) -> str:
    """One line, such as `a number, or its text, as 1.5; missing: null, or the text NA`."""
    return f"{_values(feature)}; missing: {_missing(feature)}"


def cell_schema(feature: Feature) -> dict[str, Any]:
    """What may stand in one cell of JSON."""
    plain: dict[str, Any] = {"type": ["number", "boolean", "null"]}
    if feature.kind is Kind.CATEGORICAL:
        plain = {"type": ["string", "number", "boolean", "null"]}
    else:
        plain = {"anyOf": [plain, text_schema(feature)]}
    return plain | {"description": accepted(feature)}


def text_schema(feature: Feature) -> dict[str, Any]:
    """What a text may be; of numbers with signs or words of their own it is said in words only."""
    meaning = feature.meaning
    own = (meaning.decimal, meaning.thousands, meaning.true, meaning.false)
    if feature.kind is Kind.CATEGORICAL or own != (USUAL.decimal, USUAL.thousands, USUAL.true, USUAL.false):
        return {"type": "string"}
    missing = "|".join(_SPECIAL.sub(r"\\\g<0>", word) for word in sorted(meaning.nulls))
    nothing = f"|^(?:{missing})$" if meaning.nulls else ""
    return {"type": "string", "pattern": rf"^\s*(?:{_NUMBER}|{_TRUTH})\s*${nothing}"}


def _values(feature: Feature) -> str:
    meaning = feature.meaning
    if feature.kind is Kind.NUMERIC:
        example = f"1{meaning.thousands}234{meaning.decimal}5"
        digits = "" if meaning.bits == DOUBLE else f", of {meaning.bits} bits"
        return f"a number{digits}, or its text, such as {example}"
    match meaning.held:
        case Held.BOOLEAN:
            words = "" if meaning.true == USUAL.true else f", or {_listed(meaning.true)}, {_listed(meaning.false)}"
            return f"true or false, in any spelling (true, True, 1){words}"
        case Held.NUMBER:
            return "a number as a category, or its text, by value: 1, 1.0 and 1.00 are one"
        case Held.TIME:
            return f"a moment as a category, as text like {meaning.format or '2026-01-31 17:00:00'}"
        case _:
            return "a category: its text as training had it (01067 is not 1067)"


def _missing(feature: Feature) -> str:
    if feature.meaning.nulls == USUAL_NULLS:
        return "null, or as text nothing, NA, NaN, null and their like"
    words = sorted(word for word in feature.meaning.nulls if word)
    shown = [*words[:_NULLS_SHOWN], *(["…"] if len(words) > _NULLS_SHOWN else [])]
    nothing = ["nothing"] if "" in feature.meaning.nulls else []
    texts = " or ".join([*nothing, *([f"a text of {', '.join(shown)}"] if shown else [])])
    return f"null, or {texts}" if texts else "null"


def _listed(words: frozenset[str]) -> str:
    return "/".join(sorted(words))
