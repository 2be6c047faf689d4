"""Whatever can be read is proposed for, and the proposal is accepted: over tables of every type, and CSV texts."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from deployments.errors import BadData, SeatrialError
from deployments.settings import Settings
from tasks.data_validation.builtin_checks import guard
from tasks.data_validation.findings import Finding, Severity
from tasks.data_validation.suite_profiler import propose_suite
from tasks.data_validation.validate import validate
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.product_spec import ProductSpec
from tasks.suite_proposal import propose
from tests.advice import followed
from tests.unit.tasks.data_validation.tables import tables

CLASSES, NUMBERS = "classification", "regression"
ESTIMATORS = {CLASSES: "sklearn.linear_model.LogisticRegression", NUMBERS: "sklearn.linear_model.Ridge"}
METRICS = {CLASSES: {"metric": "accuracy", "min": 0.1}, NUMBERS: {"metric": "mae", "max": 9}}


def spec_of(path: Path, task: str = NUMBERS, kind: str = "numeric", **data: Any) -> ProductSpec:
    document = {
        "product": "odd",
        "data": {"source": {"path": str(path)}, "target": "target", **data},
        "validation": {"suite": str(path.parent / "odd.suite.json")},
        "preprocessing": {kind: {"columns": ["feature"]}},
        "model": {"task": task, "estimator": ESTIMATORS[task]},
        "gate": {"thresholds": [METRICS[task]]},
    }
    return ProductSpec.model_validate_json(json.dumps(document))


def rows_of(spec: ProductSpec, folder: Path) -> pd.DataFrame:
    return load_snapshot(take_snapshot(spec, folder / "snapshots"))


def written(table: pa.Table, folder: Path) -> Path:
    path = folder / "odd.parquet"
    try:
        pq.write_table(table, path)
        pq.ParquetFile(path).read()  # Arrow does not read a null in a list of fixed size that it wrote itself
    except (pa.ArrowException, OSError):
        assume(False)
    return path


def of_the_suite(frame: pd.DataFrame, spec: ProductSpec) -> list[Finding]:
    """What does not hold of the proposal itself: not of the guards, which no suite could silence."""
    suite = Path(spec.validation.suite)
    suite.write_text(json.dumps(propose_suite(frame, spec), allow_nan=False))
    ours = {(finding.check, finding.column) for finding in guard(frame, spec)}
    found = validate(frame, suite, spec).findings
    return [each for each in found if not each.passed and (each.check, each.column) not in ours]


ROLES = st.tuples(
    st.sampled_from([CLASSES, NUMBERS]),
    st.sampled_from(["numeric", "categorical"]),
    st.sampled_from([{}, {"key": ["feature"]}, {"time_column": "feature"}]),
)


@given(tables(), ROLES)
@settings(max_examples=250)
def test_a_table_that_can_be_read_is_proposed_for(table: pa.Table, roles: tuple[str, str, dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = spec_of(written(table, folder), *roles[:2], **roles[2])
        try:
            frame = rows_of(spec, folder)
        except SeatrialError:
            return
        assert json.dumps(propose_suite(frame, spec), allow_nan=False)
        list(guard(frame, spec))


@given(tables())
@settings(max_examples=100)
def test_a_column_that_nothing_uses_refuses_nothing(table: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            rows_of(spec_of(written(table.select([0, 1]), folder)), folder)
        except SeatrialError:
            return
        spec = spec_of(written(table, folder))
        frame = rows_of(spec, folder)
        reduced = frame[["target", "feature"]]
        critical, alone = (
            {each.check for each in guard(rows, spec) if not each.passed and each.severity is Severity.CRITICAL}
            for rows in (frame, reduced)
        )
        assert critical <= alone | {"no feature gives the target away"}


@given(tables(), ROLES)
@settings(max_examples=25)
def test_a_proposal_holds_on_the_data_it_was_made_from(table: pa.Table, roles: tuple[str, str, dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = spec_of(written(table, folder), *roles[:2], **roles[2])
        try:
            frame = rows_of(spec, folder)
        except SeatrialError:
            return
        assert of_the_suite(frame, spec) == []


PLAIN_CELLS = "1 2 2.5 1,5 NA true False x É 01067 9223372036854775808 1e400 -1.8e308 inf nan 0x10 1_000 12:00"
ODD_CELLS = ["", " 1", '"1,5"', '"a ""b"""', "2020-01-01", "2020-01-01T00:00:00Z"]
CELLS = st.sampled_from([*re.split(" ", PLAIN_CELLS), *ODD_CELLS])
HEADERS = st.sampled_from(
    ["target,feature", ",target,feature", "target,feature,", "target,feature,,", "x,target,feature,x"]
)


@given(HEADERS, st.lists(st.lists(CELLS, min_size=5, max_size=5), min_size=1, max_size=6), ROLES)
@settings(max_examples=150)
@example("target,feature,", [["1", "2", "", "", ""], ["2", "1", "", "", ""]], (NUMBERS, "numeric", {}))
@example(",target,feature", [["0", "1", "2", "", ""], ["1", "2", "1", "", ""]], (NUMBERS, "numeric", {}))
def test_a_csv_text_that_can_be_read_is_proposed_for(
    header: str, cells: list[list[str]], roles: tuple[str, str, dict[str, Any]]
) -> None:
    width = header.count(",") + 1
    text = "\n".join([header, *(",".join(row[:width]) for row in cells), ""])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "odd.csv"
        path.write_text(text)
        spec = spec_of(path, *roles[:2], **roles[2])
        try:
            frame = rows_of(spec, folder)
        except SeatrialError:
            return
        assert json.dumps(propose_suite(frame, spec), allow_nan=False)
        list(guard(frame, spec))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        pytest.param(",target,feature", "{0},{1},{2}", id="a nameless index"),
        pytest.param("target,feature,", "{1},{2},", id="a trailing comma"),
        pytest.param("target,feature,,", "{1},{2},,", id="two trailing commas"),
        pytest.param("x,target,feature,x", "{0},{1},{2},{0}", id="two columns of one name"),
        pytest.param("e,target,feature", '"{0},5",{1},{2}', id="a decimal comma"),
        pytest.param("e,target,feature", "{0}e308,{1},{2}", id="numbers at the end of the range"),
    ],
)
def test_what_is_proposed_for_an_odd_file_is_accepted(tmp_path: Path, header: str, row: str) -> None:
    rows = [row.format(each, each * 7 % 11, each * 5 % 13) for each in range(60)]
    (tmp_path / "odd.csv").write_text("\n".join([header, *rows, ""]))
    spec = spec_of(tmp_path / "odd.csv")
    frame = rows_of(spec, tmp_path)
    assert of_the_suite(frame, spec) == []
    assert validate(frame, Path(spec.validation.suite), spec).passed


def test_a_used_column_of_one_name_with_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("feature,target,feature\n1,2,3\n")
    with pytest.raises(BadData, match="several columns named feature: rename all but one"):
        rows_of(spec_of(tmp_path / "odd.csv"), tmp_path)


def test_a_used_date_that_python_does_not_know_is_corrected_and_another_is_left_out(tmp_path: Path) -> None:
    odd, plain = pa.array([2**31 - 1, 0], pa.date32()), pa.array([1.0, 2.0])
    path = written(pa.table([plain, odd], names=["target", "feature"]), tmp_path)
    with pytest.raises(BadData) as error:
        rows_of(spec_of(path), tmp_path)
    assert followed("holds dates outside the years 1 to 9999: correct them at the source") in str(error.value)
    path = written(pa.table([plain, plain, odd], names=["target", "feature", "odd"]), tmp_path)
    assert list(rows_of(spec_of(path), tmp_path)) == ["target", "feature"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["cheap", "dear"], "column 'target' must hold numbers"),
        (["1,5", "2,5"], "column 'target' must hold numbers"),
        ([pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")], "column 'target' holds times, not numbers"),
        ([1.0, 1.0], "target 'target' has only one value"),
        ([None, 1.0], "target is never empty"),
    ],
    ids=["text", "decimal commas", "times", "one value", "empty"],
)
def test_a_profile_says_what_a_release_would_say(tmp_path: Path, values: list[Any], said: str) -> None:
    frame = pd.DataFrame({"target": values * 20, "feature": range(40)})
    frame.to_parquet(tmp_path / "odd.parquet")
    spec = spec_of(tmp_path / "odd.parquet")
    (tmp_path / "odd.yaml").write_text(spec.model_dump_json(exclude_defaults=True))
    proposal = propose(str(tmp_path / "odd.yaml"), Settings(home=tmp_path / "home", project=tmp_path))
    assert any(said in sentence for sentence in proposal.refusals), proposal.refusals
    assert json.dumps(proposal.suite, allow_nan=False)
