"""Metrics with a distribution in each version: latency by bucket, predictions by label.

Every bound and every label is a test by itself; the mean of their e-values is an e-value whatever their dependence.
"""

from collections.abc import Sequence

import numpy as np

from deployments.analysis import ratio, series, share
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block
from deployments.analysis.levels import Levels
from deployments.analysis.series import Arms, Array
from deployments.analysis.weighed import Weighed, percent
from deployments.spec import MetricRule

_SLOW_SHARE = 0.01  # of the answers may exceed the limit


def weigh_latency(blocks: Sequence[Block], rule: MetricRule, levels: Levels) -> Weighed:
    """Whether more of the candidate's answers than of the stable version's are slower than some bucket's bound."""
    arms = series.latencies(blocks)
    logs = _harm(arms, rule.margin or 0, levels)
    worst = int(np.argmax(logs)) if rule.margin is not None else _bucket(rule.limit)
    stable, candidate = _shares(arms, worst)
    return Weighed(
        seen=f"slower than {LATENCY_BOUNDS_MS[worst]:,} ms were {_against(stable, candidate)}",
        stable=stable,
        candidate=candidate,
        harm=None if rule.margin is None else float(ratio.log_mean(logs)),
        broken=None if rule.limit is None else _log_e_slow(arms, rule.limit),
    )


def weigh_predictions(blocks: Sequence[Block], rule: MetricRule, levels: Levels) -> Weighed:
    """Whether the candidate predicts some label more, or less, often than the stable version."""
    arms, labels = series.predictions(blocks)
    more, less = (_harm(each, rule.margin or 0, levels) for each in (arms, arms.swapped()))
    seen = (arms.stable_bad.sum(axis=0) + arms.candidate_bad.sum(axis=0)) > 0
    worst = int(np.argmax(np.where(seen, np.maximum(more, less), -np.inf)))
    stable, candidate = _shares(arms, worst)
    return Weighed(
        seen=f"predicted {labels[worst]!r} in {_against(stable, candidate)}",
        stable=stable,
        candidate=candidate,
        harm=float(ratio.log_mean(np.concatenate((more, less)))),
    )


def log_e_faster(blocks: Sequence[Block]) -> float:
    """Log of the e-value against "the candidate is at no bound faster than the stable version"."""
    return float(ratio.log_mean(ratio.log_e_above(series.latencies(blocks).swapped(), 1)))


def _harm(arms: Arms, margin: float, levels: Levels) -> Array:
    return levels.harm(ratio.log_e_ever_above(arms, 1), ratio.log_e_ever_above(arms, 1 + margin))


def _log_e_slow(arms: Arms, limit_ms: float) -> float:
    """A limit beyond the last bound cannot be told from any slower answer, and breaks for none."""
    if limit_ms > LATENCY_BOUNDS_MS[-1]:
        return 0.0
    return share.log_e_ever_above(arms.candidate_bad[:, _bucket(limit_ms)], arms.candidate, _SLOW_SHARE)


def _bucket(limit_ms: float | None) -> int:
    return min(int(np.searchsorted(LATENCY_BOUNDS_MS, limit_ms or 0)), len(LATENCY_BOUNDS_MS) - 1)


def _shares(arms: Arms, kind: int) -> tuple[float | None, float | None]:
    stable, candidate = arms.stable.sum(), arms.candidate.sum()
    return (
        float(arms.stable_bad[:, kind].sum() / stable) if stable else None,
        float(arms.candidate_bad[:, kind].sum() / candidate) if candidate else None,
    )


def _against(stable: float | None, candidate: float | None) -> str:
    return " against ".join("nothing yet" if each is None else percent(each) for each in (candidate, stable))
