"""A sample of `python -m benchmarks.leakage`: who refuses harmless tables, or misses leaks, does so here too."""

import pytest

from benchmarks.leakage import HARMLESS, LEAKS, Case, refusals

TABLES = 5


@pytest.mark.parametrize("case", [each for each in HARMLESS if each.allowed < 0.05], ids=lambda case: case.name)
@pytest.mark.parametrize("rows", [100, 1_000])
def test_harmless_tables_are_not_refused(case: Case, rows: int) -> None:
    assert refusals(case, rows, TABLES) == 0


@pytest.mark.parametrize("case", LEAKS, ids=lambda case: case.name)
def test_leaks_are_caught_in_tables_with_rows_enough(case: Case) -> None:
    assert case.rows is not None
    assert refusals(case, case.rows, TABLES) == TABLES


def test_a_case_allows_for_chance_and_no_more() -> None:
    case = HARMLESS[-1]
    assert case.is_as_wanted(300, 21, 400)
    assert not case.is_as_wanted(300, 40, 400)
    assert not LEAKS[0].is_as_wanted(300, 399, 400)
    assert LEAKS[0].is_as_wanted(20, 0, 400)
