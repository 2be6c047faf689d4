"""Which test weighs which metric."""

from deployments.analysis.distribution_metrics import weigh_latency, weigh_predictions
from deployments.analysis.error_spending import Levels
from deployments.analysis.evidence_by_unit import Parts
from deployments.analysis.metric_result import Weighed
from deployments.analysis.paired_metrics import weigh_accuracy, weigh_disagreement
from deployments.analysis.rate_metrics import weigh_errors, weigh_feedback
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
