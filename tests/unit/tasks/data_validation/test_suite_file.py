import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.errors import BadSpec, NotFound
from tasks.data_validation.findings import Severity
from tasks.data_validation.suite_file import Kind, load_suite

PROJECT = Path(__file__).parents[4]


def test_a_suite_keeps_what_it_says(write_suite: Callable[..., Path]) -> None:
    path = write_suite(
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "heat"}, "severity": "warning"},
        {"type": "expect_column_to_exist", "kwargs": {"column": "heat"}},
        types={"heat": "number"},
        freshness={"max_age": "2d", "until": "2020-06-01"},
    )
    suite = load_suite(path)
    assert [one.severity for one in suite.expectations] == [Severity.WARNING, Severity.CRITICAL]
    assert suite.meta.seatrial.types == {"heat": Kind.NUMBER}
    assert suite.meta.seatrial.freshness is not None
    assert suite.meta.seatrial.freshness.max_age == dt.timedelta(days=2)
    assert suite.meta.seatrial.freshness.until == dt.date(2020, 6, 1)


def test_a_missing_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no suite at .*x\.json: .*seatrial profile"):
        load_suite(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Invalid JSON"),
        ('{"name": "x", "expectation": []}', "unknown field, did you mean 'expectations'"),
        (
            '{"name": "x", "expectations": [{"type": "expect_column_to_exist", "severty": "info"}]}',
            "expectations.0.severty: unknown field, did you mean 'severity'",
        ),
        ('{"name": "x", "expectations": [{"type": "expect_column_to_exist", "severity": "fatal"}]}', "'critical'"),
        ('{"name": "x", "meta": {"seatrial": {"types": {"a": "float"}}}}', "meta.seatrial.types.a"),
        ('{"name": "x", "meta": {"seatrial": {"freshness": {"max_age": "soon"}}}}', "not a duration"),
        ('{"name": "x", "meta": {"seatrial": {"freshnes": {}}}}', "did you mean 'freshness'"),
    ],
)
def test_a_wrong_suite_says_where(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(BadSpec) as caught:
        load_suite(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("product", ["flights", "bikeshare"])
def test_the_suites_of_the_examples_load(product: str) -> None:
    assert load_suite(PROJECT / "specs" / f"{product}.suite.json").name == product
