from math import log

import numpy as np
import pytest

from deployments.analysis.error_spending import Levels, levels
from deployments.spec import AnalysisSection, MetricRule


def test_alpha_is_shared_by_the_tests_of_harm_that_count() -> None:
    counting = MetricRule(metric="error_rate", margin=0.01, limit=0.1)
    dry = MetricRule(metric="latency", margin=1.0, limit=100, dry_run=True)
    one = MetricRule(metric="predictions", margin=0.5)
    assert levels(AnalysisSection(metrics=(counting, dry, one), alpha=0.03)).alpha == pytest.approx(0.01)
    assert levels(AnalysisSection(metrics=(dry,), alpha=0.03)).alpha == pytest.approx(0.03)


def test_each_proof_has_all_of_beta() -> None:
    assert levels(AnalysisSection(beta=0.05)).beta == 0.05


def test_harm_takes_worse_at_alpha_and_beyond_the_margin_at_beta() -> None:
    level = Levels(alpha=0.001, beta=0.05)
    assert level.harm(log(1000), log(20)) == pytest.approx(level.log_harm_needed)
    assert level.harm(log(999), 100.0) < level.log_harm_needed
    assert level.harm(100.0, log(19)) < level.log_harm_needed
    assert list(level.harm(np.zeros(2), np.ones(2))) == [0, 0]  # never more than against "no worse"
