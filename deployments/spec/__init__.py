"""The rollout section of a product spec: what "deploy" means for this product, and by what it is judged."""

from deployments.spec.analysis import AnalysisSection, MetricRule, OnDeadline
from deployments.spec.base_section import Percent, Section
from deployments.spec.feedback import FeedbackSection
from deployments.spec.kubernetes import (
    AutoscalingSection,
    GatewayMetricsSection,
    GatewaySection,
    KubernetesSection,
    ResourcesSection,
    TolerationRule,
    VolumeRule,
)
from deployments.spec.rollout import RolloutSection, Second, TargetKind
from deployments.spec.server import LimitsSection, LogSection, ServerSection, StickyKey
from deployments.spec.strategies import (
    ABSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    MatchRule,
    Pace,
    ShadowSection,
    Strategy,
)

__all__ = [
    "ABSection",
    "AnalysisSection",
    "AutoscalingSection",
    "BlueGreenSection",
    "CanarySection",
    "CanaryStep",
    "FeedbackSection",
    "GatewayMetricsSection",
    "GatewaySection",
    "KubernetesSection",
    "LimitsSection",
    "LogSection",
    "MatchRule",
    "MetricRule",
    "OnDeadline",
    "Pace",
    "Percent",
    "ResourcesSection",
    "RolloutSection",
    "Second",
    "Section",
    "ServerSection",
    "ShadowSection",
    "StickyKey",
    "Strategy",
    "TargetKind",
    "TolerationRule",
    "VolumeRule",
]
