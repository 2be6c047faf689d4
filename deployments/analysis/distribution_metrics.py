"""Metrics with a distribution in each version: latency by bucket, predictions by label.

Every bound and every label is a test by itself; the mean of their e-values is an e-value whatever their dependence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deployments.analysis import block_counts, proportion, rate_ratio
from deployments.analysis.block_counts import Arms, Array, Starts, Unit
from deployments.analysis.error_spending import Levels
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block
from deployments.analysis.evidence_by_unit import Parts, Series, arms_by_part
from deployments.analysis.metric_result import Weighed, percent, proved_by
from deployments.analysis.unattributed_requests import outside
from deployments.spec import MetricRule

_SLOW_SHARE = 0.01  # of the answers may exceed the limit


def weigh_latency(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """Whether more of the candidate's answers than of the stable version's are slower than some bucket's bound."""
    times = arms_by_part(parts, block_counts.latencies)
    logs = _by_kind(times, rule.margin or 0, levels)
    harm = None if rule.margin is None else times.strength(rate_ratio.log_mean(logs.T))
    broken = None if rule.limit is None else times.strength(_log_e_slow(times, rule.limit))
    proof = proved_by(levels, harm, broken)
    worst = int(np.argmax(logs.max(axis=0))) if rule.margin is not None else _bucket(rule.limit)
    stable, candidate = _shares(times.total(proof), worst)
    return Weighed(
        seen=f"slower than {LATENCY_BOUNDS_MS[worst]:,} ms were {_against(stable, candidate)}{_of(parts)}"
        f"{parts.when(proof)}",
        stable=stable,
        candidate=candidate,
        harm=harm,
        broken=broken,
        unit=parts.noun,
    )


def weigh_predictions(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """Whether the candidate predicts some label more, or less, often than the stable version."""
    found = [_predicted(outside(part.blocks), part.unit, rule, levels) for part in parts.whole]
    found += [_predicted(blocks, Unit.SHORT, rule, levels) for blocks in parts.short_stretches]
    logs = np.array([each.log_e for each in found]) + parts.log_alpha
    harm = parts.strength(logs, [each.size for each in found])
    proof = proved_by(levels, harm)
    shown = found[int(np.argmax(logs[: len(parts.whole)])) if proof is None else harm.where]
    return Weighed(
        seen=f"predicted {shown.label!r} in {_against(shown.stable, shown.candidate)}{_of(parts)}{parts.when(proof)}",
        stable=shown.stable,
        candidate=shown.candidate,
        harm=harm,
        unit=parts.noun,
    )


def log_e_faster(parts: Parts) -> float:
    """Log of the e-value against "the candidate is at no bound faster than the stable version"."""
    times = arms_by_part(parts, block_counts.latencies)
    return max(
        float(rate_ratio.log_mean(rate_ratio.log_e_above(arms.swapped(), 1))) + part.log_beta
        for arms, part in zip(times.whole, parts.whole, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What one part says: the evidence, its units of the candidate, and the label that differs most."""

    log_e: float
    size: float
    label: str
    stable: float | None
    candidate: float | None


def _predicted(blocks: Sequence[Block], unit: Unit, rule: MetricRule, levels: Levels) -> _Predicted:
    arms, labels = block_counts.predictions(blocks, unit)
    more, less = (_harm(each, rule.margin or 0, levels) for each in (arms, arms.swapped()))
    seen = (arms.stable_bad.sum(axis=0) + arms.candidate_bad.sum(axis=0)) > 0
    worst = int(np.argmax(np.where(seen, np.maximum(more, less), -np.inf)))
    log_e = float(rate_ratio.log_mean(np.concatenate((more, less))))
    return _Predicted(log_e, float(arms.candidate.sum()), labels[worst], *_shares(arms, worst))


def _by_kind(times: Series, margin: float, levels: Levels) -> Array:
    """By part and bound, how strongly slower answers of the candidate speak for harm."""

    def in_each(arms: Arms, starts: Starts) -> Array:
        return levels.harm(
            rate_ratio.log_e_in_each(arms, 1, starts), rate_ratio.log_e_in_each(arms, 1 + margin, starts)
        )

    return times.logs(lambda arms: _harm(arms, margin, levels), in_each)


def _harm(arms: Arms, margin: float, levels: Levels) -> Array:
    return levels.harm(rate_ratio.log_e_ever_above(arms, 1), rate_ratio.log_e_ever_above(arms, 1 + margin))


def _log_e_slow(times: Series, limit_ms: float) -> Array:
    """By part. A limit beyond the last bound cannot be told from any slower answer, and breaks for none."""
    if limit_ms > LATENCY_BOUNDS_MS[-1]:
        return np.zeros(len(times.parts.log_alpha))
    kind = _bucket(limit_ms)

    def counted(arms: Arms) -> tuple[Array, Array]:
        return arms.candidate_bad[:, kind], arms.candidate[:, kind] if arms.candidate.ndim == 2 else arms.candidate

    return times.logs(
        lambda arms: proportion.log_e_ever_above(*counted(arms), _SLOW_SHARE),
        lambda arms, starts: proportion.log_e_in_each(*counted(arms), _SLOW_SHARE, starts),
    )


def _bucket(limit_ms: float | None) -> int:
    return min(int(np.searchsorted(LATENCY_BOUNDS_MS, limit_ms or 0)), len(LATENCY_BOUNDS_MS) - 1)


def _shares(arms: Arms, kind: int) -> tuple[float | None, float | None]:
    stable, candidate = (
        float((each if each.ndim == 1 else each[:, kind]).sum()) for each in (arms.stable, arms.candidate)
    )
    return (
        float(arms.stable_bad[:, kind].sum() / stable) if stable else None,
        float(arms.candidate_bad[:, kind].sum() / candidate) if candidate else None,
    )


def _of(parts: Parts) -> str:
    return f" of the {parts.noun}" if parts.by_user else ""


def _against(stable: float | None, candidate: float | None) -> str:
    return " against ".join("nothing yet" if each is None else percent(each) for each in (candidate, stable))
