"""Which test weighs which metric."""

from deployments.analysis.distributions import weigh_latency, weigh_predictions
from deployments.analysis.levels import Levels
from deployments.analysis.paired import weigh_accuracy, weigh_disagreement
from deployments.analysis.parts import Parts
from deployments.analysis.rates import weigh_errors, weigh_feedback
from deployments.analysis.weighed import Weighed
from deployments.spec import MetricRule


def weigh(parts: Parts, rule: MetricRule, levels: Levels) -> Weighed:
    """What the evidence says about the metric of `rule`."""
    match rule.metric:
        case "error_rate":
            return weigh_errors(parts, rule, levels)
        case "latency":
            return weigh_latency(parts, rule, levels)
        case "predictions":
            return weigh_predictions(parts, rule, levels)
        case "disagreement":
            return weigh_disagreement(parts, rule, levels)
        case "accuracy":
            return weigh_accuracy(parts, rule, levels)
        case _:  # the spec lets no other name than feedback.<name> through
            return weigh_feedback(parts, rule, levels)
