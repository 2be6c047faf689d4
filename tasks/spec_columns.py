"""What the columns of a product mean, as its spec says it: the one place where training and server get it from."""

from deployments.columns import USUAL, USUAL_NULLS, Meaning
from tasks.product_spec import ColumnType, DataSection

# The words of what is declared to be true or false.
_ONE_TOO = (frozenset({"true", "1"}), frozenset({"false", "0"}))


def meaning_of(name: str, data: DataSection) -> Meaning:
    """How the values of a column are read; what it holds is not known yet."""
    declared, source = data.columns.get(name), data.source
    if declared is None:
        return Meaning(nulls=_nulls(source.nulls), decimal=source.decimal)
    usual = _ONE_TOO if declared.type is ColumnType.BOOLEAN else (USUAL.true, USUAL.false)
    return Meaning(
        nulls=_nulls(source.nulls if declared.nulls is None else declared.nulls),
        decimal=declared.decimal or source.decimal,
        thousands=declared.thousands or "",
        format=declared.format,
        true=usual[0] if declared.true is None else _lower(declared.true),
        false=usual[1] if declared.false is None else _lower(declared.false),
    )


def _nulls(words: tuple[str, ...] | None) -> frozenset[str]:
    return USUAL_NULLS if words is None else frozenset(words)


def _lower(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)
