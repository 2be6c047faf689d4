"""Great Expectations, spoken to in this module only.

Its own weak spots are closed here: `ExpectationSuite` logs and drops an expectation that it does not know, so each is
built by us and a wrong one raises; a column that is absent or holds only nulls never passes; results carry sample
values, of which only counts and aggregates leave this module.
"""

import difflib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deployments.errors import BadSpec
from deployments.plurals import counted
from tasks.data_validation.builtin_checks import unable
from tasks.data_validation.findings import Finding, Outcome, Severity
from tasks.data_validation.suite_file import Expectation, Suite
from tasks.data_validation.used_columns import columns_of

if TYPE_CHECKING:
    import pandas as pd

_POSITION = "seatrial_position"
_TYPE_CHECKS = (
    "expect_column_values_to_be_of_type",
    "expect_column_values_to_be_in_type_list",
    "expect_column_type_to_be",
)
# The first exception of a traceback that may show several.
_RAISED = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", re.MULTILINE)
_ABOUT_NULLS = ("null", "column_to_exist")


def warm_up() -> None:
    """Imports Great Expectations (about 6 s and 200 MB), so that the next validation in this process starts at once."""
    _great_expectations()


def check_expectations(frame: "pd.DataFrame", suite: Suite) -> list[Finding]:
    """One finding per expectation, in the suite's order. Raises `BadSpec` that names every one that cannot be built."""
    built = _build(suite)
    findings: dict[int, Finding] = {}
    for position, expectation in enumerate(suite.expectations):
        if reason := _nothing_to_check(frame, expectation):
            check, column = describe(expectation), _column(expectation)
            findings[position] = unable(check, column, expectation.severity, reason)
    runnable = [built[position] for position in range(len(built)) if position not in findings]
    for result in _run(frame, suite.name, runnable):
        position = result.expectation_config.meta[_POSITION]
        findings[position] = _finding(suite.expectations[position], result)
    return [findings[position] for position in sorted(findings)]


def check_known(suite: Suite) -> None:
    """Raises `BadSpec` that names every expectation of `suite` that cannot be built. Imports Great Expectations."""
    if suite.expectations:
        _build(suite)


def describe(expectation: Expectation) -> str:
    """The expectation in words, such as `values to be between 0 and 40 (at least 99 %)`."""
    kwargs = expectation.kwargs
    words = expectation.type.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    if "min_value" in kwargs or "max_value" in kwargs:
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        words += f" {'-∞' if low is None else low} and {'∞' if high is None else high}"
    for name in ("value_set", "column_set"):
        if isinstance(values := kwargs.get(name), list):
            words += f" of {len(values)}"
    if isinstance(columns := kwargs.get("column_list"), list):
        words += f" ({', '.join(map(str, columns))})"
    if isinstance(mostly := kwargs.get("mostly"), int | float):
        words += f" (at least {mostly * 100:g} %)"
    return words


@contextmanager
def _quietly() -> Iterator[None]:
    """Great Expectations and its own imports use deprecated parts of Python and pandas; that is theirs to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with _quietly():
        import great_expectations
    return great_expectations


def _build(suite: Suite) -> list[Any]:
    _great_expectations()
    built: list[Any] = []
    problems: list[str] = []
    for position, expectation in enumerate(suite.expectations):
        try:
            built.append(_implementation(expectation, position))
        except (ValueError, TypeError) as error:
            problems.append(f"  expectations.{position} ({expectation.type}): {_said(error)}")
    if problems:
        raise BadSpec(
            "\n".join([f"suite {suite.name!r}: {counted(len(problems), 'expectation')} cannot be used", *problems])
        )
    return built


def _implementation(expectation: Expectation, position: int) -> Any:
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations import registry

    if expectation.type in _TYPE_CHECKS:
        raise ValueError("not reliable with pandas 3: name the column under meta.seatrial.types instead")
    try:
        kind = registry.get_expectation_impl(expectation.type)
    except ExpectationNotFoundError:
        known = registry.list_registered_expectation_implementations()
        near = (
            ", ".join(difflib.get_close_matches(expectation.type, known, n=3)) or "see the list of Great Expectations"
        )
        raise ValueError(f"unknown, perhaps {near}") from None
    return kind(**expectation.kwargs, severity=expectation.severity.value, meta={_POSITION: position})


def _said(error: Exception) -> str:
    listed = getattr(error, "errors", None)
    if listed is None:
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])).replace('__root__', 'kwargs')}: {one['msg']}" for one in listed()
    )


def _nothing_to_check(frame: "pd.DataFrame", expectation: Expectation) -> str:
    named = columns_of(expectation)
    absent = [name for name in named if name not in frame.columns]
    if absent and expectation.type != "expect_column_to_exist":
        return f"there is no column {', '.join(absent)}"
    if named and frame.empty:
        return "there are no rows"
    if any(word in expectation.type for word in _ABOUT_NULLS):
        return ""
    empty = [name for name in named if frame[name].isna().all()]
    return f"every value of {', '.join(empty)} is empty" if empty else ""


def _column(expectation: Expectation) -> str | None:
    return ", ".join(columns_of(expectation)) or None


def _run(frame: "pd.DataFrame", name: str, expectations: Sequence[Any]) -> list[Any]:
    if not expectations:
        return []
    gx = _great_expectations()
    from great_expectations.data_context.types.base import ProgressBarsConfig

    with _quietly():
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        batch = context.data_sources.pandas_default.read_dataframe(frame)
        suite = gx.ExpectationSuite(name=name, expectations=list(expectations))
        results: list[Any] = batch.validate(suite, result_format="BASIC").results
    return results


def _finding(expectation: Expectation, result: Any) -> Finding:
    check, column = describe(expectation), _column(expectation)
    if failure := _exception(result.exception_info):
        return unable(check, column, expectation.severity, failure)
    observed = _observed(result.result)
    where = f"{column or 'table'}: "
    if result.success:
        return Finding(check, column, expectation.severity, Outcome.PASSED, observed, f"{where}{check}: {observed}")
    remedy = "look at the source, or widen the expectation if the data is right"
    message = f"{where}expected {check}, found {observed}: {remedy}"
    return Finding(check, column, Severity(expectation.severity), Outcome.FAILED, observed, message)


def _exception(info: Any) -> str:
    """What was raised, by its kind alone: the text of the exception may quote values. Empty if nothing was."""
    reports = [info] if "raised_exception" in info else list(info.values())
    raised = [one for one in reports if one.get("raised_exception")]
    if not raised:
        return ""
    first = _RAISED.search(str(raised[0].get("exception_traceback")))
    return f"the check raised {first[1] if first else 'an exception'}: does it fit the column's type?"


def _observed(result: dict[str, Any]) -> str:
    if "unexpected_count" in result:
        return _share(result)
    mismatched = (result.get("details") or {}).get("mismatched")
    if isinstance(mismatched, dict):
        return "; ".join(f"{kind} columns: {', '.join(map(str, names))}" for kind, names in mismatched.items() if names)
    return _aggregate(result.get("observed_value"))


def _share(result: dict[str, Any]) -> str:
    count, rows = int(result["unexpected_count"]), result.get("element_count")
    if rows is None:
        return f"{count:,} unexpected"
    share = result.get("unexpected_percent") or 0.0
    return f"{count:,} of {rows:,} unexpected ({share:.3g} %)" if count else f"none of {rows:,} unexpected"


def _aggregate(value: Any) -> str:
    """Numbers as they are; of everything else only how much there is, for it may be somebody's own value."""
    match value:
        case bool() | int():
            return f"{value:,}" if not isinstance(value, bool) else str(value).lower()
        case float():
            return f"{value:.6g}"
        case dict() if isinstance(value.get("values"), list):
            return ", ".join(_aggregate(one) for one in value["values"])
        case list() | tuple() | set():
            return counted(len(value), "value")
        case None:
            return "as expected"
        case _:
            return "a value that is not shown"
