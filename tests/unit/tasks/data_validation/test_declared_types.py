"""A value that cannot be read as its column is declared is a row of the report, whatever the source."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.settings import Settings
from tasks.data_validation.findings import Finding, Outcome, Severity, ValidationReport
from tasks.data_validation.report import to_html, to_markdown
from tasks.data_validation.validate import validate
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.markdown import plain
from tasks.product_spec import ProductSpec
from tasks.suite_proposal import propose
from tests.advice import followed

WriteSuite = Callable[..., Path]
ADVICE = followed("repair it at the source, or correct data.columns.")


def spec_of(path: Path, columns: dict[str, Any], *categories: str, key: Sequence[str] = ()) -> ProductSpec:
    numeric, categorical = {"numeric": {"columns": ["n"]}}, {"categorical": {"columns": list(categories)}}
    document = {
        "product": "shop",
        "data": {"source": {"path": str(path)}, "target": "y", "columns": columns, "key": list(key)},
        "validation": {"suite": "shop.suite.json"},
        "preprocessing": numeric | (categorical if categories else {}),
        "model": {"task": "regression", "estimator": "sklearn.linear_model.Ridge"},
        "gate": {"thresholds": [{"metric": "mae", "max": 3}]},
    }
    return ProductSpec.model_validate_json(json.dumps(document))


def written(folder: Path, texts: Sequence[str], name: str = "c") -> Path:
    """A CSV file with numbers `n` and `y`, and these texts in a column."""
    rows = {"n": range(len(texts)), "y": [each * each % 7 for each in range(len(texts))]}
    pd.DataFrame(rows | {name: texts}).to_csv(folder / "x.csv", index=False)
    return folder / "x.csv"


def report_on(spec: ProductSpec, folder: Path, suite: Path) -> ValidationReport:
    return validate(load_snapshot(take_snapshot(spec, folder / "snapshots")), suite, spec)


def of_types(report: ValidationReport) -> list[Finding]:
    return [finding for finding in report.findings if "can be read" in finding.check]


TEN = [str(each) for each in range(10)]


@pytest.mark.parametrize(
    ("declared", "texts", "said", "corrected"),
    [
        (
            {"type": "number"},
            ["n/k", *TEN, "n/k", "??"],
            "declared as number, and 3 of 13 values cannot be read so, such as 'n/k' in row 1, '??' in row 13",
            {"type": "number", "nulls": ["n/k", "??"]},
        ),
        (
            {"type": "number"},
            ["1,5", "2,5", "3,5", "4,5", "5,5"],
            "declared as number, and 5 of 5 values cannot be read so, such as '1,5' in row 1, '2,5' in row 2, "
            "'3,5' in row 3",
            {"type": "number", "decimal": ","},
        ),
        (
            {"type": "number", "decimal": ","},
            ["1,5", "1.234,5"],
            "1 of 2 values cannot be read so, such as '1.234,5' in row 2",
            {"type": "number", "decimal": ",", "thousands": "."},
        ),
        (
            {"type": "boolean"},
            ["true", "0", "ja", "nein"],
            "declared as boolean, and 2 of 4 values cannot be read so, such as 'ja' in row 3, 'nein' in row 4",
            {"type": "boolean", "true": ["true", "ja"], "false": ["0", "nein"]},
        ),
        (
            {"type": "time"},
            ["2020-01-01", "31.01.2020"],
            "declared as time, and 1 of 2 values cannot be read so, such as '31.01.2020' in row 2",
            {"type": "category"},
        ),
        (
            {"type": "time", "format": "%d.%m.%Y"},
            ["01.02.2020", "02.30.2020"],
            "1 of 2 values cannot be read so, such as '02.30.2020' in row 2",
            {"type": "category"},
        ),
        (
            {"type": "boolean"},
            ["x" * 1000, "a\nb\x1b[2J"],
            f"2 of 2 values cannot be read so, such as '{'x' * 30}…' in row 1, 'a\\nb\\x1b[2J' in row 2",
            {"type": "category"},
        ),
    ],
    ids=["words", "decimal commas", "thousands", "truths", "times", "a format", "long and steering a terminal"],
)
def test_what_cannot_be_read_as_declared_is_a_row_of_the_report(
    declared: dict[str, Any], texts: list[str], said: str, corrected: dict[str, Any], tmp_path: Path,
    write_suite: WriteSuite
) -> None:  # fmt: skip
    path, suite = written(tmp_path, texts), write_suite(types={"c": "number"})
    report = report_on(spec_of(path, {"c": declared}, "c"), tmp_path, suite)
    [finding] = of_types(report)
    assert (finding.column, finding.severity, finding.outcome) == ("c", Severity.CRITICAL, Outcome.FAILED)
    assert said in finding.observed
    assert f"column 'c' {finding.observed}: {ADVICE}c (its type, nulls" in finding.message
    assert plain(finding.message) in to_markdown(report)
    assert finding.check in to_html(report, "shop")
    [mended] = of_types(report_on(spec_of(path, {"c": corrected}, "c"), tmp_path, suite))
    assert mended.passed


def test_values_that_were_repaired_at_the_source_are_read(tmp_path: Path, write_suite: WriteSuite) -> None:
    columns = {"n": {"type": "number"}, "c": {"type": "number"}}
    [refused] = of_types(report_on(spec_of(written(tmp_path, ["1", "two"]), columns, "c"), tmp_path, write_suite()))
    assert ADVICE in refused.message
    [passed] = of_types(report_on(spec_of(written(tmp_path, ["1", "2"]), columns, "c"), tmp_path, write_suite()))
    assert passed.observed == "all of 2 declared"


@pytest.mark.parametrize(
    ("values", "declared", "said"),
    [
        (pa.array([1_000_000] * 3, pa.timestamp("us")), "number", "is declared as number and holds timestamp[us]"),
        (pa.array([[1.0]] * 3), "number", "is declared as number and holds list<"),
        (pa.array([1.5, 2.5, 3.5]), "time", "is declared as time and holds double"),
        (pa.array([0.0, 1.0, 2.0]), "boolean", "is declared as boolean, and 1 of 3 values cannot be read so, such as"),
        (pa.array([b"\xff", b"\xfe", b"a"]), "number", "is declared as number and holds large_binary"),
    ],
)
def test_a_typed_column_that_is_something_else_is_a_row_of_the_report(
    values: pa.Array, declared: str, said: str, tmp_path: Path, write_suite: WriteSuite
) -> None:
    pq.write_table(pa.table({"n": [1.0, 2.0, 4.0], "c": values, "y": [1, 2, 3]}), tmp_path / "x.parquet")
    report = report_on(spec_of(tmp_path / "x.parquet", {"c": {"type": declared}}), tmp_path, write_suite())
    [finding] = of_types(report)
    assert said in finding.observed
    assert finding.severity is Severity.WARNING, "nothing uses the column"


@pytest.mark.parametrize("role", ["target", "key", "numeric feature"])
def test_each_use_of_a_column_makes_it_critical(role: str, tmp_path: Path, write_suite: WriteSuite) -> None:
    name = {"target": "y", "key": "c", "numeric feature": "n"}[role]
    rows = pd.DataFrame({"n": ["1", "2", "3"], "c": ["4", "5", "6"], "y": ["7", "8", "9"]})
    rows.loc[1, name] = "many"
    rows.to_csv(tmp_path / "x.csv", index=False)
    spec = spec_of(tmp_path / "x.csv", {name: {"type": "number"}}, key=["c"])
    report = report_on(spec, tmp_path, write_suite())
    assert (
        "'many' in row 2" in next(f for f in report.critical if f.column == name and "can be read" in f.check).message
    )


def test_a_profile_says_it_too_and_proposes_what_can_be_read(tmp_path: Path) -> None:
    spec = spec_of(written(tmp_path, ["1", "two", *TEN]), {"c": {"type": "number"}}, "c")
    (tmp_path / "shop.yaml").write_text(spec.model_dump_json(exclude_defaults=True))
    proposal = propose(str(tmp_path / "shop.yaml"), Settings(home=tmp_path / "home", project=tmp_path))
    assert any("'two' in row 2" in sentence and ADVICE in sentence for sentence in proposal.refusals)
