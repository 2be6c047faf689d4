"""Is the candidate good enough? Each rule of the gate becomes one check with its reason.

The checks here compare two numbers. A statistical comparison (paired intervals, a third answer "cannot tell yet") takes
the place of `_against_champion`, and nothing else changes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tasks.gate.metrics import Direction, direction_of
from tasks.gate.scoring import Scores
from tasks.product_spec import Comparison, GateSection, Threshold

ANSWERS: Final = "answers"
CHAMPION: Final = "champion"
_WITHOUT_COMPARISON: Final = "; to replace it unseen, leave gate.against_champion out for one release"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and what came of it.

    `limit` is what the candidate's value was held against; `candidate`, `champion` and `limit` are None where the rule
    has no such number. NaN means that a metric could not be computed.
    """

    metric: str
    rule: str
    candidate: float | None
    champion: float | None
    limit: float | None
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Passed only if every check did."""

    passed: bool
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """The reasons of the checks that failed, in the gate's order."""
        return tuple(check.reason for check in self.checks if not check.passed)

    def __str__(self) -> str:
        return "passed" if self.passed else "; ".join(self.failures)


@dataclass(frozen=True, slots=True)
class Unscorable:
    """There is a champion, but it cannot score the held-out rows; `reason` says why."""

    reason: str


def judge(gate: GateSection, candidate: Scores, champion: Scores | Unscorable | None, *, constant: bool) -> GateVerdict:
    """The verdict over scores on the same held-out rows.

    `champion` is None when the product has none: then there is nothing to compare with, and only the limits count.
    `constant` says that the candidate answers the same for every row. A metric that is NaN or absent never passes.
    """
    checks = (_answers(constant), *_limits(gate, candidate), *_comparisons(gate, candidate, champion))
    return GateVerdict(all(check.passed for check in checks), checks)


def rows_for_table(verdict: GateVerdict) -> list[dict[str, str]]:
    """One row per check, as text, for people: metric, rule, candidate, champion, limit, result, reason."""
    return [
        {
            "metric": check.metric,
            "rule": check.rule,
            "candidate": _shown(check.candidate),
            "champion": _shown(check.champion),
            "limit": _shown(check.limit),
            "result": "passed" if check.passed else "FAILED",
            "reason": check.reason,
        }
        for check in verdict.checks
    ]


def _answers(constant: bool) -> Check:
    reason = "the model says the same for every row" if constant else "the model tells rows apart"
    return Check(ANSWERS, "not constant", None, None, None, not constant, reason)


def _limits(gate: GateSection, candidate: Scores) -> Iterator[Check]:
    for threshold in gate.thresholds:
        if threshold.min is not None:
            yield _limit(threshold, "floor", threshold.min, candidate)
        if threshold.max is not None:
            yield _limit(threshold, "ceiling", threshold.max, candidate)


def _limit(threshold: Threshold, name: str, limit: float, candidate: Scores) -> Check:
    metric = threshold.metric
    rule = f"{'at least' if name == 'floor' else 'at most'} {limit:g}"
    value = candidate.values.get(metric, math.nan)
    if math.isnan(value):
        return Check(metric, rule, value, None, limit, False, _unknown(metric, candidate))
    passed = value >= limit if name == "floor" else value <= limit
    wrong = "below" if name == "floor" else "above"
    reason = f"{metric} {_near(value, limit)} {'keeps' if passed else f'is {wrong}'} the {name} {limit:g}"
    return Check(metric, rule, value, None, limit, passed, reason)


def _comparisons(gate: GateSection, candidate: Scores, champion: Scores | Unscorable | None) -> Iterator[Check]:
    match champion:
        case None if gate.against_champion:
            yield Check(CHAMPION, "exists", None, None, None, True, "no champion yet: nothing to compare with")
        case None:
            return
        case Unscorable(reason):
            asked = bool(gate.against_champion)
            reason = f"the champion cannot score these rows: {reason}{_WITHOUT_COMPARISON if asked else ''}"
            yield Check(CHAMPION, "scores the same rows", None, None, None, not asked, reason)
        case Scores():
            for rule in gate.against_champion:
                yield _against_champion(rule, candidate, champion)


def _against_champion(comparison: Comparison, candidate: Scores, champion: Scores) -> Check:
    """Not worse than the champion by more than the margin. The place for a paired interval."""
    metric, margin = comparison.metric, comparison.margin
    rule = f"not worse than the champion by more than {margin:g}"
    ours, theirs = candidate.values.get(metric, math.nan), champion.values.get(metric, math.nan)
    if math.isnan(ours):
        return Check(metric, rule, ours, theirs, None, False, _unknown(metric, candidate))
    if math.isnan(theirs):
        return Check(metric, rule, ours, theirs, None, False, f"champion: {_unknown(metric, champion)}")
    higher = direction_of(metric) is Direction.HIGHER
    limit = theirs - margin if higher else theirs + margin
    passed = ours >= limit if higher else ours <= limit
    comparison_in_words = (
        f"{'not ' if passed else ''}worse than the champion's {_near(theirs, ours)} by more than {margin:g}"
    )
    reason = f"{metric} {_near(ours, theirs)} is {comparison_in_words}"
    return Check(metric, rule, ours, theirs, limit, passed, reason)


def _unknown(metric: str, scores: Scores) -> str:
    return f"{metric} could not be computed: {scores.reasons.get(metric, 'it was not measured')}"


def _near(value: float, other: float) -> str:
    """Three decimals, and more where fewer would make the two look alike."""
    for digits in (3, 6, 9):
        if f"{value:.{digits}f}" != f"{other:.{digits}f}":
            return f"{value:.{digits}f}"
    return f"{value:.3f}"


def _shown(value: float | None) -> str:
    return "" if value is None else "not computed" if math.isnan(value) else f"{value:.4g}"
