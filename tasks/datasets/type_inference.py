"""What a spec may declare of a column of which nobody said anything, inferred from all its values.

Here alone text is guessed at: `init` writes down what is found, and `profile` shows it. What can be meant in two ways
(1,234; 01/02/2020) is a category, which is the text that stands there.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from deployments.columns import USUAL, USUAL_NULLS
from tasks.datasets.column_types import as_declared
from tasks.datasets.file_source import Texts
from tasks.datasets.fingerprint import plain
from tasks.datasets.lossless_types import whole_numbers, without
from tasks.problem_types import TaskKind
from tasks.product_spec import ColumnSection, ColumnType, DecimalSign, Format, ProductSpec, Source

# What people write where they know nothing, beside the usual words.
_UNKNOWN: Final = {"-", "--", "---", ".", "..", "?", "??", "n.a.", "n.a", "n/k", "k.a.", "unknown", "missing", "none"}
# (decimal sign, sign between groups of digits), the usual first.
_SIGNS: Final[tuple[tuple[DecimalSign, str], ...]] = (
    (".", ""),
    (".", ","),
    (".", "'"),
    (".", " "),
    (",", ""),
    (",", "."),
    (",", " "),
)
# 1,234 may be either.
_EITHER: Final = {(",", None), (".", ",")}
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_CODE: Final = re.compile(r"[+-]?0[0-9]+")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:$|[T ])")
_DAYS: Final = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d")
_HOURS: Final = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S")
_FORMATS: Final = tuple(f"{day}{hour}" for day in _DAYS for hour in _HOURS)
# The whole numbers of so many digits are all floats.
_MOST_DIGITS: Final = 15
# So many values are tried before all of them are.
_FIRST: Final = 50


def inferred_columns(table: pa.Table, texts: Texts, source: Source) -> dict[str, ColumnSection]:
    """What to declare of the columns of `table`, by name, where there is something to declare.

    `texts` are columns as a CSV file has them, without nulls; empty for another source. Columns that share a name, or
    have none, cannot be declared.
    """
    named = [name for name, times in Counter(table.column_names).items() if name and times == 1]
    found = {name: inferred(texts.get(name, table.column(name)), source) for name in named}
    return {name: declared for name, declared in found.items() if declared is not None}


def declarations(spec: ProductSpec, found: Mapping[str, ColumnSection], schema: pa.Schema) -> dict[str, ColumnSection]:
    """What to declare of the columns that `spec` uses and does not declare, by `found` and by what they are used for.

    A category, class or key is declared so that it stays what it is undeclared: text, truth values, whole numbers. None
    is declared that cannot be used so, such as text as a number. `schema` is that of the table as it was read.
    """
    data = spec.data
    time = (data.time_column,) if data.time_column else ()
    proposed = {}
    for name in dict.fromkeys((*spec.preprocessing.features, data.target, *data.key, *time)):
        if name in found and name not in data.columns:
            proposed[name] = _as_used(name, found[name], spec, pa.types.is_integer(schema.field(name).type))
    return {name: declared for name, declared in proposed.items() if declared is not None}


def _as_used(name: str, found: ColumnSection, spec: ProductSpec, is_whole: bool) -> ColumnSection | None:
    numeric = spec.preprocessing.numeric.columns if spec.preprocessing.numeric else ()
    if name == spec.data.time_column:
        return found if found.type is ColumnType.TIME else None
    if name in numeric:
        return found if found.type in {ColumnType.NUMBER, ColumnType.BOOLEAN} else None
    if name == spec.data.target and spec.model.task is TaskKind.REGRESSION:
        return found if found.type is ColumnType.NUMBER else None
    is_number = found.type is ColumnType.NUMBER and is_whole and name not in spec.preprocessing.features
    return found if is_number or found.type is ColumnType.BOOLEAN else ColumnSection(type=ColumnType.CATEGORY)


def inferred(column: pa.ChunkedArray, source: Source) -> ColumnSection | None:
    """What to declare of a column of `source`; None without a value, or for a type that no column of use can have.

    `column` is the text of a CSV file without nulls, or typed. Whole numbers in a text column of another source stay
    text: somebody chose so. Every value can be read as what is returned.
    """
    column = plain(column)
    if pa.types.is_large_string(column.type):
        usual = USUAL_NULLS if source.nulls is None else frozenset(source.nulls)
        values = pc.unique(without(column, usual)).drop_null()
        return _of_text(pa.chunked_array([values]), column, source) if len(values) else None
    kind = _of_type(column.type)
    return ColumnSection(type=kind) if kind is not None and column.null_count < len(column) else None


def _of_type(kind: pa.DataType) -> ColumnType | None:
    if pa.types.is_boolean(kind):
        return ColumnType.BOOLEAN
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return ColumnType.NUMBER
    return ColumnType.TIME if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else None


def _of_text(values: pa.ChunkedArray, column: pa.ChunkedArray, source: Source) -> ColumnSection:
    if found := _typed(values, source):
        return found
    words = [text for text in values.to_pylist() if text.strip().lower() in _UNKNOWN]
    known = without(values, frozenset(words)).drop_null()
    if words and len(known) and (found := _typed(known, source)):
        usual = pc.unique(column).filter(pc.invert(pc.is_in(pc.unique(column), value_set=values.combine_chunks())))
        nulls = sorted({"", *words, *usual.drop_null().to_pylist()})
        return found.model_copy(update={"nulls": tuple(nulls)})
    return ColumnSection(type=ColumnType.CATEGORY)


def _typed(values: pa.ChunkedArray, source: Source) -> ColumnSection | None:
    texts = [text.strip() for text in values.to_pylist()]
    if {text.lower() for text in texts} <= {"true", "false"}:
        return ColumnSection(type=ColumnType.BOOLEAN)
    if any(USUAL.truth(text) is not None for text in texts):
        return None
    return _number(values, texts, source) or _moment(values, texts, source)


def _number(values: pa.ChunkedArray, texts: Sequence[str], source: Source) -> ColumnSection | None:
    if any(map(_CODE.fullmatch, texts)):
        return None
    if all(map(_WHOLE.fullmatch, texts)):
        return ColumnSection(type=ColumnType.NUMBER) if _keeps_its_digits(values, source) else None
    found = [each for each in _numbers(source) if _reads(each, values, source)]
    signs = [(each.decimal, each.thousands) for each in found]
    return found[0] if found and set(signs[:2]) != _EITHER else None


def _moment(values: pa.ChunkedArray, texts: Sequence[str], source: Source) -> ColumnSection | None:
    if all(map(_DAY.match, texts)) and _reads(iso := ColumnSection(type=ColumnType.TIME), values, source):
        return iso
    formats = (ColumnSection(type=ColumnType.TIME, format=format_) for format_ in _FORMATS)
    found = [each for each in formats if _reads(each, values, source)]
    return found[0] if len(found) == 1 else None


def _keeps_its_digits(values: pa.ChunkedArray, source: Source) -> bool:
    if source.sql is not None or source.file_format is not Format.CSV:
        return False
    longest = pc.max(pc.utf8_length(values)).as_py()
    return longest <= _MOST_DIGITS or whole_numbers(values) is not None


def _numbers(source: Source) -> Iterator[ColumnSection]:
    """With each pair of signs, those with the decimal sign of the source first."""
    for decimal, thousands in sorted(_SIGNS, key=lambda signs: signs[0] != source.decimal):
        is_said = decimal == source.decimal and not thousands
        yield ColumnSection(type=ColumnType.NUMBER, decimal=None if is_said else decimal, thousands=thousands or None)


def _reads(declared: ColumnSection, values: pa.ChunkedArray, source: Source) -> bool:
    first = as_declared(values.slice(0, _FIRST), declared, source)
    return not first.unreadable and not as_declared(values, declared, source).unreadable
