import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deployments.errors import BadData
from tasks.datasets.fingerprint import fingerprint

# No deadline: the machine may be busy.
_FEW = settings(max_examples=60, deadline=None)
_VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int8(): st.integers(-128, 127),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=5),
    pa.binary(): st.binary(max_size=5),
    pa.timestamp("us", "UTC"): st.integers(0, 2**50),
    pa.decimal128(12, 2): st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents) / 100),
}


@st.composite
def _columns(draw: st.DrawFn, least: int = 0) -> tuple[pa.DataType, list[Any]]:
    kind = draw(st.sampled_from(sorted(_VALUES, key=str)))
    return kind, draw(st.lists(st.none() | _VALUES[kind], min_size=least, max_size=40))


def _table(kind: pa.DataType, values: list[Any]) -> pa.Table:
    return pa.table({"x": pa.array(values, type=kind)})


@_FEW
@given(_columns(least=1), st.data())
def test_chunks_do_not_count(column: tuple[pa.DataType, list[Any]], data: st.DataObject) -> None:
    kind, values = column
    cut = data.draw(st.integers(0, len(values)))
    chunks = [pa.array(part, type=kind) for part in (values[:cut], [], values[cut:])]
    assert fingerprint(pa.table({"x": pa.chunked_array(chunks)})) == fingerprint(_table(kind, values))


@_FEW
@given(_columns(), _columns(), st.integers(0, 9))
def test_a_slice_counts_as_what_it_shows(
    column: tuple[pa.DataType, list[Any]], other: tuple[pa.DataType, list[Any]], extra: int
) -> None:
    kind, values = column
    around = values[:extra] if kind != other[0] else other[1][:extra]
    whole = pa.array([*around, *values, *around], type=kind)
    shown = whole.slice(len(around), len(values))
    assert fingerprint(pa.table({"x": shown})) == fingerprint(_table(kind, values))


@_FEW
@given(st.lists(st.none() | st.text(max_size=3), max_size=30))
def test_dictionary_encoding_does_not_count(values: list[str | None]) -> None:
    plain = pa.array(values, type=pa.string())
    for held in (plain.dictionary_encode(), plain.cast(pa.large_string()), plain.cast(pa.string_view())):
        assert fingerprint(pa.table({"x": held})) == fingerprint(pa.table({"x": plain}))


@_FEW
@given(_columns(least=1), st.data())
def test_one_changed_cell_always_counts(column: tuple[pa.DataType, list[Any]], data: st.DataObject) -> None:
    kind, values = column
    place = data.draw(st.integers(0, len(values) - 1))
    replacement = data.draw(st.none() | _VALUES[kind])
    changed = [*values[:place], replacement, *values[place + 1 :]]
    assume(not pa.array(changed, type=kind).equals(pa.array(values, type=kind)))
    assert fingerprint(_table(kind, changed)) != fingerprint(_table(kind, values))


@_FEW
@given(_columns(least=2), st.data())
def test_a_swapped_row_always_counts(column: tuple[pa.DataType, list[Any]], data: st.DataObject) -> None:
    kind, values = column
    one, other = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, len(values) - 1))
    assume(values[one] != values[other])
    swapped = list(values)
    swapped[one], swapped[other] = values[other], values[one]
    assert fingerprint(_table(kind, swapped)) != fingerprint(_table(kind, values))


@pytest.mark.parametrize(
    ("values", "garbage"),
    [
        (pa.array([7, None, 9]), pa.array([7, 8, 9])),
        (pa.array([True, None, False]), pa.array([True, True, False])),
        (pa.array([1.5, None, 2.5]), pa.array([1.5, float("nan"), 2.5])),
    ],
)
def test_garbage_under_a_null_does_not_count(values: pa.Array, garbage: pa.Array) -> None:
    dirty = pa.Array.from_buffers(values.type, len(values), [values.buffers()[0], garbage.buffers()[1]])
    assert dirty.equals(values)
    assert fingerprint(pa.table({"x": dirty})) == fingerprint(pa.table({"x": values}))


def test_garbage_text_under_a_null_does_not_count() -> None:
    values, full = pa.array(["a", None, "b"]), pa.array(["a", "hidden", "b"])
    dirty = pa.Array.from_buffers(pa.string(), 3, [values.buffers()[0], *full.buffers()[1:]])
    assert dirty.equals(values)
    assert fingerprint(pa.table({"x": dirty})) == fingerprint(pa.table({"x": values}))


def test_names_types_order_and_shape_count() -> None:
    base = pa.table({"a": [1, 2], "b": [3, 4]})
    others = [
        base.rename_columns(["a", "c"]),
        base.select(["b", "a"]),
        base.set_column(0, "a", pa.array([1, 2], pa.int32())),
        base.set_column(0, "a", pa.array([1.0, 2.0])),
        base.slice(0, 1),
        base.slice(0, 0),
        base.select(["a"]),
        pa.table({"ab": [1, 2], "": [3, 4]}),
    ]
    assert len({fingerprint(table) for table in (base, *others)}) == len(others) + 1


def test_text_moved_between_neighbours_counts() -> None:
    assert fingerprint(pa.table({"x": ["ab", "c"]})) != fingerprint(pa.table({"x": ["a", "bc"]}))
    assert fingerprint(pa.table({"x": ["", None]})) != fingerprint(pa.table({"x": [None, ""]}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([[1, 2], [3]], [[1], [2, 3]]),
        ([[1], None], [[1], []]),
        ([{"a": 1, "b": "x"}], [{"a": 1, "b": "y"}]),
        ([{"a": None}], [None]),
        ([dt.date(2020, 1, 1)], [dt.date(2020, 1, 2)]),
    ],
)
def test_nested_and_other_values_count(one: list[Any], other: list[Any]) -> None:
    kind = pa.array(one).type
    assert fingerprint(_table(kind, one)) != fingerprint(_table(kind, other))
    assert fingerprint(_table(kind, one)) == fingerprint(_table(kind, list(one)))


def test_a_type_without_canonical_bytes_is_refused_by_name() -> None:
    maps = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    with pytest.raises(BadData, match="column 'odd' has the type map"):
        fingerprint(pa.table({"odd": maps}))


def test_a_fingerprint_stays_what_it_is() -> None:
    """Snapshots on disk are named by it: a change of the algorithm must change `_VERSION` and this line."""
    table = pa.table({"n": [1, None], "s": ["a", "b"], "f": [0.5, -0.0], "b": [True, None]})
    assert fingerprint(table) == "6f34b050e537cd9c5c861a84084194c4d168f5b61946819f56b30956664ff114"
