"""Metrics with one rate or mean in each version: errors, and what users pushed."""

from collections.abc import Sequence

import numpy as np

from deployments.analysis import difference, ratio, series, share
from deployments.analysis.difference import Comparison
from deployments.analysis.interval import lower_bound, upper_bound
from deployments.analysis.levels import Levels
from deployments.analysis.parts import Parts, Series, Strength, series_of
from deployments.analysis.series import Arms, Array
from deployments.analysis.weighed import Weighed, percent, proved_by, still_missing
from deployments.spec import MetricRule


def weigh_errors(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """Errors among the units: worse by ratio, beyond the margin by difference, over the limit alone."""
    errors = errors_of(parts, parts.given_up)
    comparisons = [compare_errors(arms) for arms in errors.whole]
    worse = log_e_worse(errors)
    harm, broken, safe, last = None, None, None, None
    if rule.margin is not None:
        harm = errors.strength(levels.harm(worse, _log_e_beyond(errors, comparisons, rule.margin)))
        if rule.prove:
            *_, last = logs = _log_e_within(parts, comparisons, rule.margin)
            safe = max(logs)
    if rule.limit is not None:
        broken = errors.strength(_log_e_over(errors, rule.limit, worse))
    proof = proved_by(levels, harm, broken)
    total = errors.total(proof)
    low, high = error_bounds(parts, comparisons, levels)
    return Weighed(
        seen=f"{_errors_seen(total, parts)}{_given_up_seen(parts)}{parts.when(proof)}",
        stable=_rate(total.swapped()),
        candidate=_rate(total),
        low=low,
        high=high,
        harm=harm,
        broken=broken,
        safe=safe,
        missing=_missing(errors.whole[-1], last, rule.margin or 0, levels),
        unit=parts.noun,
    )


def weigh_feedback(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """Means of pushed values; tested on the scale of the range, told on the scale of the values."""
    arms = series.feedback(parts.blocks, rule)
    comparison = compare_values(arms)
    margin = scaled_margin(rule)
    worse, beyond = (difference.log_e_ever_above(comparison, each) for each in (0, margin))
    safe = difference.log_e_below(comparison, margin) if rule.prove else None
    low, high = _value_bounds(difference_bounds(comparison, levels.log_safe_needed), rule)
    stable, candidate = _value(_rate(arms.swapped()), rule), _value(_rate(arms), rule)
    return Weighed(
        seen=_values_seen(arms, stable, candidate),
        stable=stable,
        candidate=candidate,
        low=low,
        high=high,
        harm=Strength.alone(levels.harm(worse, beyond)),
        safe=safe,
        missing=_missing(arms, safe, margin, levels),
        unit="values",
    )


def errors_of(parts: Parts, given_up: float) -> Series:
    """Errors by part; a given-up request counts as the part `given_up` of one."""
    return series_of(parts, lambda blocks, unit: series.errors(blocks, unit, given_up))


def log_e_worse(errors: Series) -> Array:
    """By part, the log of the e-value against "the candidate fails no more often"."""
    return errors.logs(
        lambda arms: ratio.log_e_ever_above(arms, 1)[0], lambda arms, starts: ratio.log_e_in_each(arms, 1, starts)[:, 0]
    )


def log_e_fewer_errors(parts: Parts) -> float:
    """Log of the e-value against "the candidate fails no less often than the stable version"."""
    whole = zip(errors_of(parts, parts.given_up).whole, parts.whole, strict=True)
    return max(float(ratio.log_e_above(arms.swapped(), 1)[0]) + part.log_beta for arms, part in whole)


def compare_errors(arms: Arms) -> Comparison:
    """Errors, ready to be compared."""
    return difference.compare(arms, difference.ERRORS_EXPECTED)


def compare_values(arms: Arms) -> Comparison:
    """Pushed values, ready to be compared."""
    return difference.compare(arms, difference.VALUES_EXPECTED)


def error_bounds(parts: Parts, comparisons: Sequence[Comparison], levels: Levels) -> tuple[float | None, float | None]:
    """As `difference_bounds`, the narrowest of all parts, each of which is wrong with its own part of `beta`."""
    found = [
        difference_bounds(comparison, levels.log_safe_needed - part.log_beta)
        for comparison, part in zip(comparisons, parts.whole, strict=True)
    ]
    lows = [low for low, _ in found if low is not None]
    highs = [high for _, high in found if high is not None]
    return max(lows, default=None), min(highs, default=None)


def difference_bounds(comparison: Comparison, log_needed: float) -> tuple[float | None, float | None]:
    """What candidate minus stable lies between; each end is wrong with a chance of at most exp(-log_needed), ever."""
    if not comparison.arms.stable.size:
        return None, None
    return lower_bound(comparison, log_needed), upper_bound(comparison, log_needed)


def scaled_margin(rule: MetricRule) -> float:
    """The margin of a feedback rule as a part of its range."""
    return (rule.margin or 0) / (rule.range[1] - rule.range[0])


def _log_e_beyond(errors: Series, comparisons: Sequence[Comparison], margin: float) -> Array:
    """By part, against "the candidate fails no more often than the margin allows"."""
    whole = [difference.log_e_ever_above(comparison, margin) for comparison in comparisons]
    starts = errors.parts.starts
    if errors.parts.by_user:
        short = difference.compare(errors.short, difference.ERRORS_EXPECTED, starts)
        whole.extend(difference.log_e_in_each(short, margin, len(starts)))
    return np.array(whole) + errors.parts.log_alpha


def _log_e_within(parts: Parts, comparisons: Sequence[Comparison], margin: float) -> list[float]:
    """By part that is looked at whole, against "the candidate fails more often than the margin allows"."""
    return [
        difference.log_e_below(comparison, margin) + part.log_beta
        for comparison, part in zip(comparisons, parts.whole, strict=True)
    ]


def _log_e_over(errors: Series, limit: float, worse: Array) -> Array:
    """By part, against "the candidate fails no more often than `limit`".

    Impatient clients of both versions alike break no limit: given-up requests count towards it only as far as the
    candidate is proved `worse` than the stable version.
    """
    over = _log_e_over_alone(errors, limit)
    if not errors.parts.given_up or not errors.parts.anything_given_up:
        return over
    proper: Array = np.maximum(_log_e_over_alone(errors_of(errors.parts, 0.0), limit), worse)
    return np.minimum(over, proper)


def _log_e_over_alone(errors: Series, limit: float) -> Array:
    return errors.logs(
        lambda arms: share.log_e_ever_above(arms.candidate_bad, arms.candidate, limit),
        lambda arms, starts: share.log_e_in_each(arms.candidate_bad, arms.candidate, limit, starts),
    )


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


def _errors_seen(total: Arms, parts: Parts) -> str:
    stable, candidate = _rate(total.swapped()), _rate(total)
    unit = f" {parts.noun}" if parts.by_user else ""
    said = [
        f"{_number(bad.sum())} of {count.sum():,.0f}{unit}"
        for bad, count in ((total.candidate_bad, total.candidate), (total.stable_bad, total.stable))
    ]
    if stable is None or candidate is None:
        return " against ".join(said)
    return f"{' against '.join(said)} ({percent(candidate)} against {percent(stable)})"


def _number(count: float) -> str:
    """Shares of users add up to no whole number."""
    return f"{count:,.0f}" if abs(count - round(count)) < 0.05 else f"{count:,.1f}"


def _given_up_seen(parts: Parts) -> str:
    stable, candidate = (sum(sum(counts.given_up) for counts in version) for version in parts.versions)
    if not stable and not candidate:
        return ""
    return f", requests that their clients gave up: {candidate:,} against {stable:,}"


def _values_seen(arms: Arms, stable: float | None, candidate: float | None) -> str:
    said = [
        "no values" if mean is None else f"a mean of {mean:.4g} over {count.sum():,.0f} values"
        for mean, count in ((candidate, arms.candidate), (stable, arms.stable))
    ]
    return " against ".join(said)
