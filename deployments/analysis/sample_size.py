"""How much traffic a decision will take, before there is any."""

import math

from deployments.analysis import rate_difference
from deployments.analysis.error_spending import levels
from deployments.analysis.paired_metrics import pairs_to_prove
from deployments.analysis.rate_metrics import scaled_margin
from deployments.spec import AnalysisSection, MetricRule


def requests_needed(rule: MetricRule, rules: AnalysisSection, stable_rate: float, share: float) -> int | None:
    """About how many requests of both versions prove `rule`'s margin, if the candidate is just like the champion.

    `share` (0-1) of the requests meet the candidate (for disagreement and accuracy: are mirrored). `stable_rate` is
    the champion's error rate; its mean of the values, one for each request (feedback); the share of pairs that differ
    (disagreement); the share of pairs in which only one version is right (accuracy). 0 where nothing must be proved,
    None where no amount would do: margin 0, a share of 0, or a rate beyond the margin. Right within a factor of two.
    """
    if not rule.prove:
        return 0
    needed = levels(rules).log_safe_needed
    match rule.metric:
        case "error_rate":
            return _comparing(stable_rate, share, rule.margin or 0, needed)
        case "disagreement":
            return _per_request(pairs_to_prove(stable_rate, rule.margin or 0, needed), share)
        case "accuracy":
            return _per_request(pairs_to_prove(0.5, 0.5 + (rule.margin or 0), needed), share * stable_rate)
        case _:
            scaled = (stable_rate - rule.range[0]) / (rule.range[1] - rule.range[0])
            bad = 1 - scaled if rule.better == "higher" else scaled
            return _comparing(bad, share, scaled_margin(rule), needed)


def _comparing(rate: float, share: float, margin: float, log_needed: float) -> int | None:
    if not 0 < share < 1:
        return None
    growth = rate_difference.growth((rate, rate), share, margin)
    return math.ceil(log_needed / growth) if growth > 0 else None


def _per_request(pairs: int | None, share: float) -> int | None:
    return None if pairs is None or share <= 0 else math.ceil(pairs / share)
