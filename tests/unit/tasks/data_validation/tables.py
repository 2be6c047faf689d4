"""Tables of every type that Arrow knows and Parquet holds, for properties: odd values, odd names, few rows and none."""

import datetime as dt
import decimal
import math
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

Values = st.SearchStrategy[Any]
_DAY = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - Arrow wants moments without a zone for types that have none


def _of(kind: pa.DataType, values: Values) -> st.SearchStrategy[tuple[pa.DataType, Values]]:
    return st.just((kind, values))


def _whole(low: int, high: int) -> Values:
    few = st.integers(max(low, 0), min(high, 3))
    return st.one_of(few, st.integers(low, high), st.sampled_from([low, high]))


_FLOATS = st.one_of(
    st.floats(-10, 10),
    st.floats(),
    st.sampled_from([0.0, 1.0, 1.8e308 * 0.99, -1.7e308, math.inf, -math.inf, math.nan, 5e-324]),
)
_TEXTS = st.one_of(
    st.sampled_from(
        ["a", "b", "", " ", "NA", "true", "1", "01067", "1,5", "1e3", "É", "日本", "$HOME", "%s", "{x}", "🚢"]
    ),
    st.text(max_size=4),
)
_DECIMALS = st.decimals(-1000, 1000, places=2).map(lambda value: value.quantize(decimal.Decimal("0.01")))
_BYTES = st.binary(max_size=4)

PLAIN = st.one_of(
    *(
        _of(kind, _whole(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1))
        for kind in (pa.int8(), pa.int64())
    ),
    *(_of(kind, _whole(0, 2**kind.bit_width - 1)) for kind in (pa.uint8(), pa.uint32(), pa.uint64())),
    _of(pa.float64(), _FLOATS),
    _of(pa.float64(), st.sampled_from([0.0, 1.0, 2.0])),
    _of(pa.float32(), st.floats(width=32)),
    _of(pa.float16(), st.sampled_from([0.0, 0.5, 65504.0])),
    _of(pa.bool_(), st.booleans()),
    _of(pa.string(), _TEXTS),
    _of(pa.large_string(), _TEXTS),
    _of(pa.string_view(), _TEXTS),
    _of(pa.binary(), _BYTES),
    _of(pa.binary(3), st.binary(min_size=3, max_size=3)),
    _of(pa.decimal128(12, 2), _DECIMALS),
    _of(pa.decimal256(60, 2), _DECIMALS),
    _of(pa.date32(), st.dates()),
    _of(pa.date32(), _whole(-(2**31), 2**31 - 1)),
    _of(pa.date64(), st.dates()),
    _of(pa.time32("s"), st.times().map(lambda time: time.replace(microsecond=0))),
    _of(pa.time64("ns"), st.times()),
    _of(pa.timestamp("s"), _whole(-(10**11), 10**11)),
    _of(pa.timestamp("us"), st.datetimes()),
    _of(pa.timestamp("ns", "Europe/Berlin"), st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1))),  # noqa: DTZ001
    _of(pa.timestamp("ms", "+05:30"), st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1))),  # noqa: DTZ001
    _of(pa.duration("ns"), _whole(-(2**62), 2**62)),
    _of(pa.duration("s"), _whole(-(2**40), 2**40)),
    _of(pa.null(), st.none()),
)
NESTED = st.one_of(
    PLAIN.map(lambda found: (pa.list_(found[0]), st.lists(found[1], max_size=2))),
    PLAIN.map(lambda found: (pa.large_list(found[0]), st.lists(found[1], max_size=2))),
    PLAIN.map(lambda found: (pa.list_(found[0], 2), st.lists(found[1], min_size=2, max_size=2))),
    PLAIN.map(lambda found: (pa.struct([("x", found[0]), ("", pa.int64())]), st.fixed_dictionaries({"x": found[1]}))),
    _of(pa.map_(pa.string(), pa.int64()), st.lists(st.tuples(st.just("k"), st.integers(0, 9)), max_size=2)),
    _of(pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", "É"])),
    _of(pa.dictionary(pa.int32(), pa.int64()), st.sampled_from([1, 2, 2**63 - 1])),
)
NAMES = st.one_of(
    st.sampled_from(["", " ", "a.b", "A", "É", "$PATH", "%s", "{x}", "index", "column", "a,b", 'a"b', "x\ny", "🚢"]),
    st.text(max_size=5),
)


@st.composite
def columns(draw: st.DrawFn, rows: int) -> pa.Array:
    """One column of any type; often the same value, often a null."""
    kind, values = draw(st.one_of(PLAIN, NESTED))
    some = draw(st.lists(st.one_of(st.none(), values), min_size=1, max_size=4)) if draw(st.booleans()) else None
    each = st.sampled_from(some) if some is not None else values
    return pa.array(draw(st.lists(each, min_size=rows, max_size=rows)), type=kind)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A table with the columns `target`, `feature` and up to three more, whose names may be the same."""
    rows = draw(st.sampled_from([0, 1, 2, 7, 40]))
    others = [name for name in draw(st.lists(NAMES, max_size=3)) if name not in {"target", "feature"}]
    names = ["target", "feature", *others]
    return pa.table([draw(columns(rows)) for _ in names], names=names)
