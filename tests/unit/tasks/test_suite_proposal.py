"""`profile` never crashes on a table that can be read, says what a release would say, and what it proposes holds."""

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import BadData, SeatrialError
from deployments.settings import Settings
from tasks.data_validation.builtin_checks import guard
from tasks.data_validation.findings import Finding, Severity
from tasks.data_validation.validate import validate
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.product_spec import ProductSpec
from tasks.spec_file import load_product
from tasks.spec_lint import check_spec
from tasks.suite_proposal import Proposal, propose

ROWS = 60
NUMBERS = [str(each * 7 % 23 + each / 8) for each in range(ROWS)]
SOLD = [str(each * 5 % 13) for each in range(ROWS)]
Content = bytes | pa.Table


def csv(**columns: list[str]) -> Callable[[], bytes]:
    """A CSV file with these columns of text, beside a target `y` and a feature `n`."""
    return lambda: text_of({"n": NUMBERS, "y": SOLD} | columns).encode()


def text_of(columns: dict[str, list[str]], **how: Any) -> str:
    out = io.StringIO()
    pd.DataFrame(columns).to_csv(out, index=how.pop("index", False), **how)
    return out.getvalue()


def parquet(column: Any) -> Callable[[], pa.Table]:
    """A table with this column `c`."""
    return lambda: pa.table({"n": [float(each) for each in NUMBERS], "y": [int(each) for each in SOLD], "c": column()})


def repeated(*cells: Any) -> list[Any]:
    return [cells[each % len(cells)] for each in range(ROWS)]


PLAIN = {"n": NUMBERS, "y": SOLD}
TABLES: dict[str, Callable[[], Content]] = {
    "lists": parquet(lambda: pa.array(repeated([1.0], [2.0, 3.0]))),
    "structs": parquet(lambda: pa.array(repeated({"a": 1}, {"a": 2}))),
    "maps": parquet(lambda: pa.array(repeated([("k", 1)], []), pa.map_(pa.string(), pa.int64()))),
    "bytes": parquet(lambda: pa.array(repeated(b"\xff", b"a"))),
    "uint64": parquet(lambda: pa.array([2**64 - 1 - each for each in range(ROWS)], pa.uint64())),
    "19 digits with nulls": parquet(lambda: pa.array([None, *(10**18 + each for each in range(1, ROWS))], pa.int64())),
    "whole numbers in text": parquet(lambda: pa.array(repeated("80331", "10115"))),
    "dates": parquet(lambda: pa.array(pd.date_range("2020-01-01", periods=ROWS).date)),
    "zones": parquet(lambda: pa.array(list(pd.date_range("2020-01-01", periods=ROWS, tz="Asia/Kolkata")))),
    "all null": parquet(lambda: pa.nulls(ROWS, pa.float64())),
    "of no type": parquet(lambda: pa.nulls(ROWS)),
    "infinite": parquet(lambda: pa.array(repeated(1.0, float("inf")))),
    "not a number": parquet(lambda: pa.array(repeated(1.0, float("nan")))),
    "decimal": parquet(lambda: pa.array(repeated(1, 2), pa.decimal128(10, 2))),
    "decimal commas": csv(c=[each.replace(".", ",") for each in NUMBERS]),
    "points and commas": csv(c=[f"1.{each:03},5" for each in range(ROWS)]),
    "ends of the range": csv(c=repeated("1.8e308", "-1.8e308", "1.7e308")),
    "beyond the range": csv(c=repeated("1e400", "1")),
    "19 digits with gaps": csv(c=["", *(str(10**18 + each) for each in range(1, ROWS))]),
    "20 digits": csv(c=[str(10**19 * 2 + each) for each in range(ROWS)]),
    "unsigned": csv(c=[str(2**64 - 1 - each) for each in range(ROWS)]),
    "leading zeros": csv(c=repeated("01067", "80331", "1067")),
    "codes": csv(c=repeated("10115", "80331", "20095")),
    "few floats": csv(c=repeated("1.0", "2.5")),
    "truths": csv(c=repeated("True", "False")),
    "truths of both kinds": csv(c=repeated("true", "0", "TRUE", "1")),
    "yes": csv(c=repeated("yes", "no", "")),
    "words for nothing": csv(c=repeated("NA", "null", "None", "a", "")),
    "numbers and words for nothing": csv(c=repeated("1.5", "NA", "?", "null", "None", "")),
    "empty": csv(c=[""] * ROWS),
    "null throughout": csv(c=repeated("NA", "null")),
    "constant": csv(c=["EUR"] * ROWS),
    "a constant number": csv(c=["1"] * ROWS),
    "days": csv(c=[f"2020-01-{each % 28 + 1:02}" for each in range(ROWS)]),
    "German days": csv(c=[f"{each % 28 + 1:02}.01.2020" for each in range(ROWS)]),
    "days of either kind": csv(c=[f"{each % 12 + 1:02}/01/2020" for each in range(ROWS)]),
    "mixed zones": csv(c=repeated("2020-01-01T00:00:00Z", "2020-01-01T00:00:00+02:00", "2020-01-02 00:00:00")),
    "free text": csv(c=[f'guest "{each}",\nsaid {each * 7}' for each in range(ROWS)]),
    "blanks": csv(c=repeated(" ", "  a", "b ")),
    "a nameless index": lambda: text_of(PLAIN | {"c": repeated("a", "b")}, index=True).encode(),
    "a trailing comma": lambda: "".join(f"{row},\n" for row in text_of(PLAIN | {"c": NUMBERS}).splitlines()).encode(),
    "two trailing commas": lambda: "".join(f"{row},,\n" for row in text_of(PLAIN | {"c": SOLD}).splitlines()).encode(),
    "two of one name": lambda: text_of(PLAIN | {"c": NUMBERS, "d": SOLD, "e": SOLD}).replace("d,e", "d,d", 1).encode(),
    "a mark": lambda: text_of(PLAIN | {"c": repeated("é", "b")}).encode("utf-8-sig"),
    "utf-16": lambda: text_of(PLAIN | {"c": repeated("é", "b")}).encode("utf-16"),
    "utf-16 without a mark": lambda: text_of(PLAIN | {"c": repeated("é", "b")}).encode("utf-16-le"),
    "latin-1": lambda: text_of(PLAIN | {"c": repeated("Zürich", "Genève")}).encode("latin-1"),
    "cp1252": lambda: text_of(PLAIN | {"c": repeated("5 €", "6 €")}).encode("cp1252"),
    "latin-1 in a name": lambda: text_of(PLAIN | {"c": NUMBERS, "größe": NUMBERS}).encode("latin-1"),
    "CRLF": lambda: text_of(PLAIN | {"c": repeated("a", "", "b")}, lineterminator="\r\n").encode(),
    "quoted": lambda: text_of(PLAIN | {"c": repeated("a", "", "1")}, quoting=1).encode(),
}
ROLES: dict[str, dict[str, Any]] = {
    "numeric": {"preprocessing": {"numeric": {"columns": ["n", "c"]}}},
    "categorical": {"preprocessing": {"numeric": {"columns": ["n"]}, "categorical": {"columns": ["c"]}}},
    "target": {"data": {"target": "c"}},
    "classes": {"data": {"target": "c"}, "model": {"task": "classification"}},
    "time": {"data": {"time_column": "c"}},
    "key": {"data": {"key": ["c"]}},
    "none": {},
}


def document(path: Path, role: dict[str, Any]) -> dict[str, Any]:
    task = role.get("model", {}).get("task", "regression")
    classes = task == "classification"
    return {
        "product": "odd",
        "data": {"source": {"path": str(path)}, "target": "y"} | role.get("data", {}),
        "validation": {"suite": "odd.suite.json"},
        "preprocessing": role.get("preprocessing", {"numeric": {"columns": ["n"]}}),
        "model": {
            "task": task,
            "estimator": f"sklearn.linear_model.{'LogisticRegression' if classes else 'Ridge'}",
        },
        "gate": {"thresholds": [{"metric": "accuracy", "min": 0.1} if classes else {"metric": "mae", "max": 9}]},
    }


def written(content: Content, folder: Path) -> Path:
    if isinstance(content, pa.Table):
        pq.write_table(content, folder / "odd.parquet")
        return folder / "odd.parquet"
    (folder / "odd.csv").write_bytes(content)
    return folder / "odd.csv"


def spec_of(document: dict[str, Any], folder: Path) -> ProductSpec:
    (folder / "odd.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_product(folder / "odd.yaml")


def with_lines(document: dict[str, Any], proposal: Proposal) -> dict[str, Any]:
    """As somebody would edit it: the proposed lines below `data`."""
    said = yaml.safe_load("\n".join(proposal.declared)) or {}
    data = document["data"]
    more = {"source": data["source"] | said.get("source", {}), "columns": said.get("columns", {})}
    return document | {"data": data | more}


def rows(spec: ProductSpec, where: Settings) -> pd.DataFrame:
    return load_snapshot(take_snapshot(spec, where.snapshots))


def checked(spec: ProductSpec, where: Settings) -> list[Finding]:
    """What a release's validation does not pass; lint has nothing to say."""
    assert check_spec(spec, where).problems == ()
    report = validate(rows(spec, where), Path(spec.validation.suite), spec)
    return [finding for finding in report.findings if not finding.passed]


def of_the_suite(spec: ProductSpec, where: Settings) -> list[Finding]:
    """What does not hold of the proposal itself, rather than of the data."""
    found = checked(spec, where)
    ours = {finding.check for finding in guard(rows(spec, where), spec)}
    ours |= {finding.check for finding in found if finding.check.startswith(("values can be read", "newest row"))}
    return [finding for finding in found if finding.check not in ours]


def profiled(content: Content, role: dict[str, Any], folder: Path) -> None:
    """Profile it as somebody would, and hold what was said against a release."""
    where = Settings(home=folder / "home", project=folder)
    plain = document(written(content, folder), role)
    spec = spec_of(plain, folder)
    try:
        proposal = propose(str(folder / "odd.yaml"), where)
    except BadData as refused:
        with pytest.raises(BadData) as by_a_release:
            take_snapshot(spec, where.snapshots)
        assert str(refused) in str(by_a_release.value)
        return
    proposal.write()
    declared = spec_of(with_lines(plain, proposal), folder)
    assert of_the_suite(declared, where) == []
    if not proposal.refusals and rows(declared, where).equals(rows(spec, where)):
        return  # one table, of which the same is said
    try:
        found = checked(spec, where)
    except BadData as refused:
        assert str(refused) in proposal.refusals
        return
    critical = [finding.message for finding in found if finding.severity is Severity.CRITICAL]
    assert bool(critical) <= bool(proposal.refusals), critical
    if not proposal.refusals:
        assert of_the_suite(spec, where) == []


# Each table as a feature; what a target, a key and a time can be on those that differ in it.
OF_THE_FILE = [name for name, make in TABLES.items() if make.__name__ == "<lambda>"]
OF_VALUES = ("lists", "bytes", "decimal commas", "leading zeros", "truths", "German days", "mixed zones", "blanks")
CASES = [
    *((table, "categorical") for table in TABLES),
    *((table, "numeric") for table in TABLES if table not in OF_THE_FILE),
    *((table, role) for role in ("target", "classes", "time", "key") for table in (*OF_VALUES, "utf-16")),
    *((table, "none") for table in OF_THE_FILE),
]


@pytest.mark.parametrize(("table", "role"), CASES)
def test_a_table_that_can_be_read_is_profiled_and_what_is_proposed_holds(table: str, role: str, tmp_path: Path) -> None:
    profiled(TABLES[table](), ROLES[role], tmp_path)


PLAIN_CELLS = "1 2 2.5 1,5 NA ? true False x É 01067 9223372036854775807 1e400 -1.8e308 inf nan 0x10 12:00 2020-01-01"
CELLS = st.sampled_from([*PLAIN_CELLS.split(), "", " 1", "1,234.5", 'a "b"', "31.01.2020", "2020-01-01T00:00:00Z"])


@given(st.lists(CELLS, min_size=1, max_size=4), st.sampled_from(sorted(ROLES)))
@settings(max_examples=25)
def test_any_cells_can_be_profiled_and_what_is_proposed_holds(cells: list[str], role: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        profiled(csv(c=repeated(*cells))(), ROLES[role], Path(folder))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "it is empty"), (b"n,y,c\n", "has columns but no row"), (b"n,y\n1,2\n", "lacks 'c'")],
    ids=["nothing", "zero rows", "a column less"],
)
def test_what_cannot_be_profiled_is_refused_as_a_release_would(content: bytes, said: str, tmp_path: Path) -> None:
    spec_of(document(written(content, tmp_path), ROLES["categorical"]), tmp_path)
    with pytest.raises(SeatrialError, match=said):
        propose(str(tmp_path / "odd.yaml"), Settings(home=tmp_path / "home", project=tmp_path))


def test_what_a_column_is_and_how_the_file_is_encoded_are_lines_for_the_spec(tmp_path: Path) -> None:
    columns = {
        "c": [each.replace(".", ",") for each in NUMBERS],
        "zip": repeated("01067", "1067"),
        "ort": ["Köln"] * ROWS,
    }
    columns["at"] = [f"{each % 28 + 1:02}.01.2020" for each in range(ROWS)]
    path = written(text_of(PLAIN | columns).encode("latin-1"), tmp_path)
    features = {"numeric": {"columns": ["n", "c"]}, "categorical": {"columns": ["zip"]}}
    spec_of(document(path, {"preprocessing": features, "data": {"time_column": "at"}}), tmp_path)
    proposal = propose(str(tmp_path / "odd.yaml"), Settings(home=tmp_path / "home", project=tmp_path))
    assert proposal.declared == (
        "source: {encoding: cp1252}",
        "columns:",
        '  "n": {type: number}',
        '  c: {type: number, decimal: ","}',
        "  zip: {type: category}",
        '  "y": {type: number}',
        '  at: {type: time, format: "%d.%m.%Y"}',
    )
    assert "cp1252, as it seems" in proposal.refusals[0]
    assert json.dumps(proposal.suite, allow_nan=False)
