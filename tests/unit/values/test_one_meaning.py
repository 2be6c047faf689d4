"""Every training row, sent back through every protocol, gets training's own prediction."""

import csv
import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.serving.codecs.mlflow import MlflowDialect
from tests.trained_table import CSV, Cells, Trained, requests_of, spec_of, trained

ROWS = 24
ODD = [
    *("01067", "1067", "1067.0", "+1067", "00", "0", "-0", "1", "1.0", "1.00", "1e3", "1000", "3.1", "3.10", "0x1F"),
    *("True", "true", "TRUE", "False", "false", "yes", "no", "NA", "N/A", "nan", "NaN", "null", "None", "<NA>", ""),
    *(" ", " a", "a ", "a", "A", "ä", "日本", "🚲", 'say "x"', "a,b", "a;b", "two\nlines", "cr\r\nlf", "tab\tbed", "'"),
    *("2020-01-02", "2020-01-02 03:04:05", "02.01.2020", "12:30", "1_000", "1,5", "1.234,5", "(missing)", "x" * 5_000),
    *(
        "1234567890123456789",
        "1234567890123456790",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
    ),
]
SEEDS = range(5)
Draw = Callable[[np.random.Generator], Any]


def one_of(*values: Any) -> Draw:
    return lambda chance: values[chance.integers(len(values))]


def any_text(chance: np.random.Generator) -> str:
    """Letters of all scripts, spaces, quotes and line ends."""
    letters = "aZ0. \t,;'\"\\/\n\r\u00e9\u0301\u3042\u05d0\U0001f6b2\ufeff\u200b\u2028\x7f\x1b"
    return "".join(letters[place] for place in chance.integers(len(letters), size=chance.integers(12)))


def moment(chance: np.random.Generator) -> str:
    return str(dt.datetime(2020, 1, 1) + dt.timedelta(seconds=int(chance.integers(10**8))))  # noqa: DTZ001


# What a column of a CSV file may hold; each begins with a value that is there.
CSV_COLUMNS: dict[str, tuple[str, Draw]] = {
    "odd": ("x", one_of(*ODD)),
    "any text": ("x", any_text),
    "leading zeros": ("7", lambda chance: "0" * chance.integers(3) + str(chance.integers(20))),
    "booleans": ("True", one_of("True", "False", "true", "FALSE", "")),
    "only booleans": ("True", one_of("True", "False")),
    "ones and zeros": ("1", one_of("1", "0")),
    "long whole numbers": ("7", one_of(*(str(10**18 + each) for each in range(5)), "NA")),
    "unsigned": (str(2**63), one_of(*(str(2**63 + each) for each in range(5)), "")),
    "floats": ("0.1", one_of(*map(repr, [0.1, 2.0, 1e-7, 1e16, 0.30000000000000004, -1.5]))),
    "decimals": ("1.50", one_of("1.50", "1.5", "3.10", "3.1", "2.00")),
    "dates": ("2020-01-02", lambda chance: moment(chance)[:10]),
    "moments": ("2020-01-02 03:04:05", moment),
    "moments of midnight": ("2020-01-02 00:00:00", lambda chance: moment(chance)[:10] + " 00:00:00"),
    "missing words": ("x", one_of("NA", "nan", "null", "N/A", "None", "<NA>", "x")),
}
NUMBER = one_of("1", "2.5", "1e3", " 7", "-0.25", "+4", "0012", "NA", "", "1234567890123456789", "0.1", "True")


def column(first: Any, draw: Draw, seed: int) -> list[Any]:
    chance = np.random.default_rng(seed)
    return [first, *(draw(chance) for _ in range(ROWS - 1))]


def written(columns: Cells) -> str:
    """A CSV file, as Python writes one."""
    text = io.StringIO()
    csv.writer(text).writerows([columns.keys(), *zip(*columns.values(), strict=True)])
    return text.getvalue()


def check(model: Trained, cells: Cells, table: str) -> None:
    """Not only the predictions: a column that the model makes little of must be the same as well."""
    requests = [("CSV", MlflowDialect, {b"content-type": CSV}, table.encode()), *requests_of(cells)]
    for form, dialect, headers, body in requests:
        asked = model.read(dialect, headers, body).batch.frame(model.model.description.features)
        for name in model.names:
            assert asked[name].equals(model.rows[name]), (form, name, asked[name].tolist(), model.rows[name].tolist())
        assert model.asked(dialect, headers, body) == model.predictions, form


@pytest.mark.parametrize("encode", ["ordinal", "one_hot"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_csv_file_sent_back_is_what_training_read(seed: int, encode: str, tmp_path: Path) -> None:
    texts = {kind: column(first, draw, seed) for kind, (first, draw) in CSV_COLUMNS.items()}
    cells = texts | {"number": column("1", NUMBER, seed)}
    path = tmp_path / "shop.csv"
    path.write_text(written(cells | {"y": list(range(ROWS))}), newline="")
    model = trained(spec_of({"path": str(path)}, ["number"], list(texts), encode=encode), tmp_path)
    check(model, cells, written(cells))


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_a_version_that_says_nothing_of_its_columns_is_asked_likewise(seed: int, tmp_path: Path) -> None:
    texts = {kind: column(first, draw, seed) for kind, (first, draw) in CSV_COLUMNS.items()}
    cells = texts | {"number": column("1", NUMBER, seed)}
    path = tmp_path / "shop.csv"
    path.write_text(written(cells | {"y": list(range(ROWS))}), newline="")
    model = trained(spec_of({"path": str(path)}, ["number"], list(texts)), tmp_path, told=False)
    check(model, cells, written(cells))


MIDNIGHT, LATER = dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as Parquet has them
# What a column of a Parquet file may hold, and its type there.
TYPED_COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "odd": (pa.string(), ODD),
    "large": (pa.large_string(), ["01067", "1067", "True"]),
    "looked up": (pa.dictionary(pa.int32(), pa.string()), ["01067", "1067", "NA"]),
    "truth": (pa.bool_(), [True, False]),
    "small": (pa.int8(), [1, 2, -3]),
    "long": (pa.int64(), [10**18 + 1, 10**18 + 2, -(10**18) - 1]),
    "unsigned": (pa.uint64(), [2**63, 2**63 + 1, 2**64 - 1]),
    "float": (pa.float64(), [0.1, 2.0, 1e-7, 1e16, 0.30000000000000004, -1.5]),
    "float of 32 bits": (pa.float32(), [0.1, 0.2, 16_777_216.0, 3.0]),
    "decimal": (pa.decimal128(6, 2), [Decimal("1.50"), Decimal("1.5"), Decimal("7"), Decimal("0.10")]),
    "long decimal": (pa.decimal128(20, 0), [Decimal(10**18 + 1), Decimal(10**18 + 2)]),
    "date": (pa.date32(), [dt.date(2020, 1, 2), dt.date(2021, 12, 31)]),
    "moment": (pa.timestamp("us"), [MIDNIGHT, LATER]),
    "midnight": (pa.timestamp("ns"), [MIDNIGHT, MIDNIGHT + dt.timedelta(days=1)]),
}


@pytest.mark.parametrize("encode", ["ordinal", "one_hot"])
@pytest.mark.parametrize("seed", SEEDS)
def test_typed_values_sent_back_are_what_training_read(seed: int, encode: str, tmp_path: Path) -> None:
    cells = {kind: column(values[0], one_of(*values, None), seed) for kind, (_, values) in TYPED_COLUMNS.items()}
    numbers = {name: column(1.0, one_of(0.1, 7, 2.5, None), seed) for name in ("number", "single")}
    arrays = {name: _array(values, TYPED_COLUMNS[name][0]) for name, values in cells.items()}
    arrays |= {"number": pa.array(numbers["number"]), "single": pa.array(numbers["single"], pa.float32())}
    table = pa.table(arrays)
    path = tmp_path / "shop.parquet"
    pq.write_table(table.append_column("y", pa.array(range(ROWS))), path)
    model = trained(spec_of({"path": str(path)}, list(numbers), list(cells), encode=encode), tmp_path)
    sent = {name: [_in_json(value) for value in values] for name, values in cells.items()} | numbers
    kinds = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    check(model, sent, table.to_pandas(types_mapper=kinds.get).to_csv(index=False))
    as_text = {name: [None if value is None else str(value) for value in values] for name, values in sent.items()}
    check(model, as_text, written(as_text))


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values).cast(kind) if pa.types.is_dictionary(kind) else pa.array(values, kind)


def _in_json(value: Any) -> Any:
    """What has no form in JSON goes as the text that Python has for it."""
    return value if isinstance(value, str | bool | int | float | None) else str(value)
