"""Which test weighs which metric."""

from collections.abc import Sequence

from deployments.analysis.distributions import weigh_latency, weigh_predictions
from deployments.analysis.evidence import Block
from deployments.analysis.levels import Levels
from deployments.analysis.paired import weigh_accuracy, weigh_disagreement
from deployments.analysis.rates import weigh_errors, weigh_feedback
from deployments.analysis.weighed import Weighed
from deployments.spec import MetricRule


def weigh(blocks: Sequence[Block], rule: MetricRule, levels: Levels) -> Weighed:
    """What `blocks` say about the metric of `rule`."""
    match rule.metric:
        case "error_rate":
            return weigh_errors(blocks, rule, levels)
        case "latency":
            return weigh_latency(blocks, rule, levels)
        case "predictions":
            return weigh_predictions(blocks, rule, levels)
        case "disagreement":
            return weigh_disagreement(blocks, rule, levels)
        case "accuracy":
            return weigh_accuracy(blocks, rule, levels)
        case _:  # the spec lets no other name than feedback.<name> through
            return weigh_feedback(blocks, rule, levels)
