"""Metrics with one rate or mean in each version: errors, and what users pushed."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from deployments.analysis import block_counts, proportion, rate_difference, rate_ratio
from deployments.analysis.block_counts import Arms, Array, Unit
from deployments.analysis.confidence_sequence import lower_bound, upper_bound
from deployments.analysis.error_spending import Levels
from deployments.analysis.evidence_by_unit import Parts, Series, Strength, arms_by_part
from deployments.analysis.metric_result import Weighed, percent, proved_by, still_missing
from deployments.analysis.rate_difference import Comparison
from deployments.plurals import counted
from deployments.spec import MetricRule


def weigh_errors(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """Errors among the units: worse by ratio, beyond the margin by difference, over the limit alone."""
    errors = errors_of(parts)
    at_risk = _at_risk(parts, parts.given_up) if parts.by_user else errors
    firsts = _firsts(parts, errors) if parts.by_user else errors
    comparisons = [compare_errors(arms) for arms in errors.whole]
    worse = _log_e_worse(firsts)
    harm, broken, safe, last = None, None, None, None
    if rule.margin is not None:
        beyond = _log_e_beyond(at_risk, comparisons if at_risk is errors else None, rule.margin)
        harm = errors.strength(levels.harm(worse, beyond))
        if rule.prove:
            *_, last = logs = _log_e_within(parts, comparisons, rule.margin)
            safe = max(logs)
    if rule.limit is not None:
        broken = errors.strength(_log_e_over(at_risk, rule.limit, worse))
    proof = proved_by(levels, harm, broken)
    shown = errors.total(None) if proof is None else at_risk.total(proof)
    low, high = error_bounds(parts, comparisons, levels)
    return Weighed(
        seen=f"{_errors_seen(shown, firsts, proof)}{_given_up_seen(parts)}{_gap_seen(parts)}{parts.when(proof)}",
        stable=_rate(shown.swapped()),
        candidate=_rate(shown),
        low=low,
        high=high,
        harm=harm,
        broken=broken,
        safe=safe,
        missing=_missing(errors.whole[-1], last, rule.margin or 0, levels),
        few=None if safe is None or safe >= levels.log_safe_needed else _few(errors, rule.margin or 0, levels),
        unit=parts.noun,
    )


def weigh_feedback(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """Means of pushed values; tested on the scale of the range, told on the scale of the values."""
    arms = block_counts.feedback(parts.blocks, rule)
    comparison = compare_values(arms)
    margin = scaled_margin(rule)
    worse, beyond = (rate_difference.log_e_ever_above(comparison, each) for each in (0, margin))
    safe = rate_difference.log_e_below(comparison, margin) if rule.prove else None
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


def errors_of(parts: Parts) -> Series:
    """Errors by part, as the spec counts given-up requests."""
    return arms_by_part(parts, partial(block_counts.errors, given_up=parts.given_up))


def log_e_fewer_errors(parts: Parts) -> float:
    """Log of the e-value against "the candidate fails no less often than the stable version"."""
    whole = zip(errors_of(parts).whole, parts.whole, strict=True)
    return max(float(rate_ratio.log_e_above(arms.swapped(), 1)[0]) + part.log_beta for arms, part in whole)


def compare_errors(arms: Arms) -> Comparison:
    """Errors, ready to be compared."""
    return rate_difference.compare(arms, rate_difference.ERRORS_EXPECTED)


def compare_values(arms: Arms) -> Comparison:
    """Pushed values, ready to be compared."""
    return rate_difference.compare(arms, rate_difference.VALUES_EXPECTED)


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


def _firsts(parts: Parts, errors: Series) -> Series:
    """Who met something bad for the first time, by part; each request by itself, as in `errors`."""
    whole = tuple(
        arms if part.since is None else block_counts.first_failures(part.blocks, part.unit, parts.given_up)[0]
        for arms, part in zip(errors.whole, parts.whole, strict=True)
    )
    short, rows = block_counts.first_failures(parts.short, Unit.SHORT, parts.given_up)
    return Series(parts, whole, short, rows[parts.starts], parts.log_alpha_of_failures)


def _at_risk(parts: Parts, given_up: float) -> Series:
    """Who had met nothing bad before, by part."""
    return arms_by_part(parts, partial(block_counts.at_risk, given_up=given_up), at_once=True)


def _log_e_worse(firsts: Series) -> Array:
    """By part, the log of the e-value against "the candidate fails no more often"."""
    return firsts.logs(
        lambda arms: rate_ratio.log_e_ever_above(arms, 1)[0],
        lambda arms, starts: rate_ratio.log_e_in_each(arms, 1, starts)[:, 0],
    )


def _log_e_beyond(at_risk: Series, known: Sequence[Comparison] | None, margin: float) -> Array:
    """By part, against "the candidate fails no more often than the margin allows"; `known` are its comparisons."""
    comparisons = [compare_errors(arms) for arms in at_risk.whole] if known is None else known
    logs = [rate_difference.log_e_ever_above(comparison, margin) for comparison in comparisons]
    starts = at_risk.starts
    if at_risk.parts.by_user:
        short = rate_difference.compare(at_risk.short, rate_difference.ERRORS_EXPECTED, starts)
        logs.extend(rate_difference.log_e_in_each(short, margin, len(starts)))
    return np.array(logs) + at_risk.log_alpha


def _log_e_within(parts: Parts, comparisons: Sequence[Comparison], margin: float) -> list[float]:
    """By part that is looked at whole, against "the candidate fails more often than the margin allows"."""
    return [
        rate_difference.log_e_below(comparison, margin) + part.log_beta
        for comparison, part in zip(comparisons, parts.whole, strict=True)
    ]


def _log_e_over(at_risk: Series, limit: float, worse: Array) -> Array:
    """By part, against "the candidate fails no more often than `limit`".

    Impatient clients of both versions alike break no limit: given-up requests count towards it only as far as the
    candidate is proved `worse` than the stable version.
    """
    over = _log_e_over_alone(at_risk, limit)
    if not at_risk.parts.given_up or not at_risk.parts.anything_given_up:
        return over
    proper = _at_risk(at_risk.parts, 0.0)
    counts: Array = np.maximum(_log_e_over_alone(proper, limit), worse)
    return np.minimum(over, counts)


def _log_e_over_alone(at_risk: Series, limit: float) -> Array:
    return at_risk.logs(
        lambda arms: proportion.log_e_ever_above(arms.candidate_bad, arms.candidate, limit),
        lambda arms, starts: proportion.log_e_in_each(arms.candidate_bad, arms.candidate, limit, starts),
    )


def _missing(arms: Arms, safe: float | None, margin: float, levels: Levels) -> int | None:
    stable, candidate = arms.stable.sum(), arms.candidate.sum()
    if safe is None or not stable or not candidate:
        return None
    rates = arms.stable_bad.sum() / stable, arms.candidate_bad.sum() / candidate
    growth = rate_difference.growth(rates, candidate / (stable + candidate), margin)
    return still_missing(safe, levels.log_safe_needed, growth)


def _few(errors: Series, margin: float, levels: Levels) -> tuple[int, int] | None:
    """Users of the candidate in the last long stretch, and how many a proof takes if none of them fails.

    None if these are enough, or requests are the units.
    """
    last, arms = errors.parts.whole[-1], errors.whole[-1]
    if last.since is None:
        return None
    came = int(arms.candidate.sum())
    needed = math.ceil((levels.log_safe_needed - last.log_beta) / -math.log1p(-margin))
    return (came, needed) if came < needed else None


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


def _errors_seen(shown: Arms, firsts: Series, proof: Strength | None) -> str:
    """Of users: how many failed at least once where harm was proved; else what their requests came to."""
    stable, candidate = _rate(shown.swapped()), _rate(shown)
    noun = firsts.parts.noun
    if proof is not None and firsts.parts.by_user:
        failed = firsts.total(proof)
        mine, others = failed.candidate_bad.sum(), failed.stable_bad.sum()
        said = [f"{_number(mine)} {noun} failed", f"{_number(others)} of the champion's"]
    else:
        unit = f" {noun}" if firsts.parts.by_user else ""
        said = [
            f"{_number(shown.candidate_bad.sum())} of {shown.candidate.sum():,.0f}{unit}",
            f"{_number(shown.stable_bad.sum())} of {shown.stable.sum():,.0f}",
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


def _gap_seen(parts: Parts) -> str:
    if not parts.unknown or not parts.allowed:
        return ""
    return f", beyond {percent(parts.allowed)} of {counted(parts.unknown, 'request')} that may all be one user's"


def _values_seen(arms: Arms, stable: float | None, candidate: float | None) -> str:
    said = [
        "no values" if mean is None else f"a mean of {mean:.4g} over {counted(round(count.sum()), 'value')}"
        for mean, count in ((candidate, arms.candidate), (stable, arms.stable))
    ]
    return " against ".join(said)
