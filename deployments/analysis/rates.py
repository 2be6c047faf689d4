"""Metrics with one rate or mean in each version: errors, and what users pushed."""

from collections.abc import Sequence

from deployments.analysis import difference, ratio, series, share
from deployments.analysis.difference import Comparison
from deployments.analysis.evidence import Block
from deployments.analysis.interval import lower_bound, upper_bound
from deployments.analysis.levels import Levels
from deployments.analysis.series import Arms
from deployments.analysis.weighed import Weighed, percent, still_missing
from deployments.spec import MetricRule


def weigh_errors(blocks: Sequence[Block], rule: MetricRule, levels: Levels) -> Weighed:
    """Errors among the requests: worse by ratio, beyond the margin by difference, over the limit alone."""
    arms = series.requests(blocks)
    comparison = compare_errors(arms)
    low, high = difference_bounds(comparison, levels)
    harm, safe = None, None
    if rule.margin is not None:
        harm = levels.harm(
            float(ratio.log_e_ever_above(arms, 1)[0]), difference.log_e_ever_above(comparison, rule.margin)
        )
        safe = difference.log_e_below(comparison, rule.margin) if rule.prove else None
    broken = None
    if rule.limit is not None:
        broken = share.log_e_ever_above(arms.candidate_bad, arms.candidate, rule.limit)
    return Weighed(
        seen=_errors_seen(arms),
        stable=_rate(arms.swapped()),
        candidate=_rate(arms),
        low=low,
        high=high,
        harm=harm,
        broken=broken,
        safe=safe,
        missing=_missing(arms, safe, rule.margin or 0, levels),
    )


def weigh_feedback(blocks: Sequence[Block], rule: MetricRule, levels: Levels) -> Weighed:
    """Means of pushed values; tested on the scale of the range, told on the scale of the values."""
    arms = series.feedback(blocks, rule)
    comparison = compare_values(arms)
    margin = scaled_margin(rule)
    worse, beyond = (difference.log_e_ever_above(comparison, each) for each in (0, margin))
    safe = difference.log_e_below(comparison, margin) if rule.prove else None
    low, high = _value_bounds(difference_bounds(comparison, levels), rule)
    stable, candidate = _value(_rate(arms.swapped()), rule), _value(_rate(arms), rule)
    return Weighed(
        seen=_values_seen(arms, stable, candidate),
        stable=stable,
        candidate=candidate,
        low=low,
        high=high,
        harm=levels.harm(worse, beyond),
        safe=safe,
        missing=_missing(arms, safe, margin, levels),
        unit="values",
    )


def compare_errors(arms: Arms) -> Comparison:
    """Errors, ready to be compared."""
    return difference.compare(arms, difference.ERRORS_EXPECTED)


def compare_values(arms: Arms) -> Comparison:
    """Pushed values, ready to be compared."""
    return difference.compare(arms, difference.VALUES_EXPECTED)


def difference_bounds(comparison: Comparison, levels: Levels) -> tuple[float | None, float | None]:
    """What candidate minus stable lies between; each end is wrong with a chance of at most `beta`, ever."""
    if not comparison.arms.stable.size:
        return None, None
    needed = levels.log_safe_needed
    return lower_bound(comparison, needed), upper_bound(comparison, needed)


def scaled_margin(rule: MetricRule) -> float:
    """The margin of a feedback rule as a part of its range."""
    return (rule.margin or 0) / (rule.range[1] - rule.range[0])


def _missing(arms: Arms, safe: float | None, margin: float, levels: Levels) -> int | None:
    stable, candidate = arms.stable.sum(), arms.candidate.sum()
    if safe is None or not stable or not candidate:
        return None
    rates = arms.stable_bad.sum() / stable, arms.candidate_bad.sum() / candidate
    growth = difference.growth(rates, candidate / (stable + candidate), margin)
    return still_missing(safe, levels.log_safe_needed, growth)


def _rate(arms: Arms) -> float | None:
    total = arms.candidate.sum()
    return float(arms.candidate_bad.sum() / total) if total else None


def _value(bad: float | None, rule: MetricRule) -> float | None:
    if bad is None:
        return None
    low, high = rule.range
    return low + (high - low) * (1 - bad if rule.better == "higher" else bad)


def _value_bounds(bounds: tuple[float | None, float | None], rule: MetricRule) -> tuple[float | None, float | None]:
    width = rule.range[1] - rule.range[0]
    low, high = (None if bound is None else bound * width for bound in bounds)
    if rule.better == "lower":
        return low, high
    return None if high is None else -high, None if low is None else -low


def _errors_seen(arms: Arms) -> str:
    stable, candidate = _rate(arms.swapped()), _rate(arms)
    said = [
        f"{bad.sum():,.0f} of {total.sum():,.0f}"
        for bad, total in ((arms.candidate_bad, arms.candidate), (arms.stable_bad, arms.stable))
    ]
    if stable is None or candidate is None:
        return " against ".join(said)
    return f"{' against '.join(said)} ({percent(candidate)} against {percent(stable)})"


def _values_seen(arms: Arms, stable: float | None, candidate: float | None) -> str:
    said = [
        "no values" if mean is None else f"a mean of {mean:.4g} over {count.sum():,.0f} values"
        for mean, count in ((candidate, arms.candidate), (stable, arms.stable))
    ]
    return " against ".join(said)
