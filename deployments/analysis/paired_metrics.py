"""Metrics of mirrored requests that both versions answered: disagreement, and accuracy where there are labels."""

from deployments.analysis import block_counts, proportion
from deployments.analysis.block_counts import Array
from deployments.analysis.error_spending import Levels
from deployments.analysis.evidence_by_unit import Parts, Strength
from deployments.analysis.metric_result import Weighed, percent
from deployments.plurals import counted
from deployments.spec import MetricRule

_FAR = 10**13  # pairs; nobody waits for more


def weigh_disagreement(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """The share of pairs with different predictions, against an acceptable share and a limit."""
    all_compared, disagreed, _, _ = block_counts.pairs(parts.blocks)
    differ, compared = int(disagreed.sum()), int(all_compared.sum())
    safe = proportion.log_e_below(differ, compared, rule.margin or 0) if rule.prove else None
    rate = differ / compared if compared else None
    return Weighed(
        seen=f"{differ:,} of {counted(compared, 'pair differs', 'pairs differ')}"
        + ("" if rate is None else f" ({percent(rate)})"),
        candidate=rate,
        harm=_strength_above(disagreed, all_compared, rule.margin),
        broken=_strength_above(disagreed, all_compared, rule.limit),
        safe=safe,
        missing=None if rate is None else _more(compared, rate, rule.margin or 0, levels),
        unit="pairs",
    )


def _as_share(rate: float | None) -> str:
    return "" if rate is None else f" ({percent(rate)})"


def weigh_accuracy(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """McNemar's test: among the pairs in which only one version is right, how often is it the stable one?

    Half of them if none is better; the margin is what may be added to that half.
    """
    compared, _, only_stable, only_candidate = block_counts.pairs(parts.blocks)
    wrong, decided = int(only_stable.sum()), int((only_stable + only_candidate).sum())
    acceptable = 0.5 + (rule.margin or 0)
    worse, beyond = (
        proportion.log_e_ever_above(only_stable, only_stable + only_candidate, bound) for bound in (0.5, acceptable)
    )
    safe = proportion.log_e_below(wrong, decided, acceptable) if rule.prove else None
    rate = wrong / decided if decided else None
    more = None if rate is None else _more(decided, rate, acceptable, levels)
    return Weighed(
        seen=f"only the candidate right in {counted(decided - wrong, 'pair')}, only the stable one in {wrong:,}",
        stable=rate,
        candidate=None if rate is None else 1 - rate,
        harm=Strength.alone(levels.harm(worse, beyond)),
        safe=safe,
        missing=None if more is None or rate is None else round(more * compared.sum() / decided),
        unit="pairs",
    )


def log_e_more_accurate(parts: Parts) -> float:
    """Log of the e-value against "the candidate is right no more often than the stable version"."""
    _, _, only_stable, only_candidate = block_counts.pairs(parts.blocks)
    return proportion.log_e_above(only_candidate.sum(), (only_candidate + only_stable).sum(), 0.5)


def pairs_to_prove(rate: float, bound: float, log_needed: float) -> int | None:
    """How many pairs show that a share is below `bound`, when it is `rate`; None if more than anybody waits for."""
    if rate >= bound or proportion.log_e_below(rate * _FAR, _FAR, bound) < log_needed:
        return None
    few, enough = 0, 1
    while proportion.log_e_below(rate * enough, enough, bound) < log_needed:
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        settled = proportion.log_e_below(rate * middle, middle, bound) >= log_needed
        few, enough = (few, middle) if settled else (middle, enough)
    return enough


def _strength_above(bad: Array, total: Array, bound: float | None) -> Strength | None:
    return None if bound is None else Strength.alone(proportion.log_e_ever_above(bad, total, bound))


def _more(now: int, rate: float, bound: float, levels: Levels) -> int | None:
    needed = pairs_to_prove(rate, bound, levels.log_safe_needed)
    return None if needed is None else max(1, needed - now)
