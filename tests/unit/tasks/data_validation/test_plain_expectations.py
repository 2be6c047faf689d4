"""What is plain without Great Expectations is taken by it, and costs no import."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.data_validation.expectations import check_known
from tasks.data_validation.plain_expectations import _SHAPES, is_plain
from tasks.data_validation.suite_file import Expectation, Suite, load_suite

PROJECT = Path(__file__).parents[4]
NUMBERS = (
    st.integers(-(10**16), 10**16)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(max_size=3)
    | st.none()
)
LISTS = st.lists(
    st.text(max_size=3)
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none(),
    max_size=4,
)
VALUES = {
    "column": st.text(max_size=5) | st.just("a column") | st.none(),
    "mostly": st.floats(0, 1) | NUMBERS,
    "value_set": LISTS,
    "column_set": LISTS | st.just(["a", "b"]),
    "column_list": LISTS | st.just(["a", "b"]),
    "exact_match": st.booleans() | NUMBERS,
    **dict.fromkeys(("value", "min_value", "max_value"), NUMBERS | st.integers(0, 9) | st.floats(0, 1)),
}


@st.composite
def expectations(draw: st.DrawFn) -> Expectation:
    kind = draw(st.sampled_from(sorted(_SHAPES)))
    needed, others = _SHAPES[kind]
    chosen = [*needed, *draw(st.lists(st.sampled_from(sorted(others)), unique=True) if others else st.just([]))]
    return Expectation(type=kind, kwargs={name: draw(VALUES[name]) for name in chosen})


@given(expectations())
@settings(max_examples=600)
def test_great_expectations_takes_whatever_is_plain(expectation: Expectation) -> None:
    if is_plain(expectation):
        check_known(Suite(name="plain", expectations=(expectation,)))


@pytest.mark.parametrize("kind", sorted(_SHAPES))
def test_each_known_shape_can_be_plain(kind: str) -> None:
    usual: dict[str, Any] = {
        "column": "a",
        "value_set": ["x", "y"],
        "column_set": ["a"],
        "column_list": ["a", "b"],
        "value": 3,
    }
    needed, others = _SHAPES[kind]
    bound = {"min_value": 0} if "min_value" in others else {}
    expectation = Expectation(type=kind, kwargs={name: usual[name] for name in needed} | bound)
    assert is_plain(expectation)
    check_known(Suite(name="plain", expectations=(expectation,)))


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_be_betwen", {"column": "a", "min_value": 0}),
        ("expect_column_values_to_be_between", {"column": "a"}),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": 2, "max_value": 1}),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": 0, "mostly": 1.5}),
        ("expect_column_values_to_not_be_null", {"column": "a", "row_condition": "b > 1"}),
        ("expect_column_values_to_not_be_null", {"colum": "a"}),
        ("expect_column_values_to_be_in_set", {"column": "a", "value_set": [1, "x"]}),
        ("expect_column_values_to_be_of_type", {"column": "a", "type_": "int"}),
    ],
)
def test_what_is_odd_is_left_to_great_expectations(kind: str, kwargs: dict[str, Any]) -> None:
    assert not is_plain(Expectation(type=kind, kwargs=kwargs))


@pytest.mark.parametrize("name", ["flights", "bikeshare"])
def test_the_suites_of_this_project_are_plain(name: str) -> None:
    suite = load_suite(PROJECT / "specs" / f"{name}.suite.json")
    assert [each.type for each in suite.expectations if not is_plain(each)] == []


def test_lint_of_a_plain_suite_does_not_import_great_expectations() -> None:
    program = (
        "import sys; sys.argv = ['seatrial', 'lint', 'specs/flights.yaml']\n"
        "from flows.entrypoints.cli.main import run\n"
        "print(run(), 'great_expectations' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
