"""Who wins an A/B comparison."""

import math
from collections.abc import Sequence
from typing import Literal

from deployments.analysis import block_counts, rate_difference
from deployments.analysis.distribution_metrics import log_e_faster
from deployments.analysis.evidence import Block
from deployments.analysis.evidence_by_unit import Parts, split_into_parts
from deployments.analysis.judge import judge
from deployments.analysis.paired_metrics import log_e_more_accurate
from deployments.analysis.rate_metrics import compare_values, log_e_fewer_errors
from deployments.analysis.verdict import Ruling
from deployments.spec import AnalysisSection, MetricRule

_WITHOUT_BETTER = frozenset({"predictions", "disagreement"})


def winner(blocks: Sequence[Block], rules: AnalysisSection) -> Literal["candidate", "stable"] | None:
    """Who is proved better; None if nobody is, or the split is not the configured one.

    The stable version wins where harm is proved. The candidate wins where some rule that is not a dry run shows it
    better and none shows it harmful: a chance of at most `rules.alpha` for a candidate that is better at nothing.
    Margins do not enter: better is better. Predictions and disagreement have no better and worse.
    """
    ruling = judge(blocks, rules).ruling
    if ruling is Ruling.ROLL_BACK:
        return "stable"
    if ruling is Ruling.HOLD:
        return None
    deciding = [rule for rule in rules.metrics if not rule.dry_run and rule.metric not in _WITHOUT_BETTER]
    needed = math.log(max(1, len(deciding)) / rules.alpha)
    parts = split_into_parts([block for block in blocks if block.trusted], rules.given_up)
    return "candidate" if any(_log_e_better(parts, rule) >= needed for rule in deciding) else None


def _log_e_better(parts: Parts, rule: MetricRule) -> float:
    """Log of the e-value against "the candidate is no better"."""
    match rule.metric:
        case "error_rate":
            return log_e_fewer_errors(parts)
        case "latency":
            return log_e_faster(parts)
        case "accuracy":
            return log_e_more_accurate(parts)
        case _:
            return rate_difference.log_e_above(compare_values(block_counts.feedback(parts.blocks, rule).swapped()), 0)
