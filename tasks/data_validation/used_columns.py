"""Which columns a product depends on: only checks of these may refuse a release."""

from collections.abc import Iterator

from tasks.data_validation.findings import Severity
from tasks.data_validation.suite_file import Expectation, Suite
from tasks.datasets.snapshot import required_columns
from tasks.product_spec import ProductSpec


def used_columns(spec: ProductSpec) -> frozenset[str]:
    """Target, time, key, features, and what the spec names under `validation.guarded`."""
    return frozenset((*required_columns(spec), *spec.validation.guarded))


def without_refusals_by_others(suite: Suite, spec: ProductSpec) -> Suite:
    """`suite` with a warning of every critical expectation that is only about columns which the spec does not use.

    What is said about the table as a whole stays as it is.
    """
    used = used_columns(spec)
    return suite.model_copy(update={"expectations": tuple(_eased(each, used) for each in suite.expectations)})


def only_warnings(suite: Suite, spec: ProductSpec) -> tuple[str, ...]:
    """Columns whose critical checks in `suite` are warnings, because the spec does not use them; each once."""
    used, found = used_columns(spec), list[str]()
    for each in suite.expectations:
        if each.severity is Severity.CRITICAL and _eased(each, used) is not each:
            found += columns_of(each)
    return tuple(dict.fromkeys([*found, *(name for name in suite.meta.seatrial.types if name not in used)]))


def columns_of(expectation: Expectation) -> tuple[str, ...]:
    """The columns that an expectation names."""
    return tuple(_columns(expectation))


def _columns(expectation: Expectation) -> Iterator[str]:
    kwargs = expectation.kwargs
    listed = kwargs.get("column_list")
    single = [kwargs.get(name) for name in ("column", "column_A", "column_B")]
    yield from (name for name in (*single, *(listed if isinstance(listed, list) else ())) if isinstance(name, str))


def _eased(expectation: Expectation, used: frozenset[str]) -> Expectation:
    named = columns_of(expectation)
    if not named or expectation.severity is not Severity.CRITICAL or not used.isdisjoint(named):
        return expectation
    return expectation.model_copy(update={"severity": Severity.WARNING})
