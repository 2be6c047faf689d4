"""How alpha and beta are shared out, and what harm means."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from deployments.analysis.block_counts import Array
from deployments.spec import AnalysisSection, MetricRule

Logs = TypeVar("Logs", float, Array)


@dataclass(frozen=True, slots=True)
class Levels:
    """Chances of error per test: `alpha` of finding harm where there is none, `beta` of overlooking a margin."""

    alpha: float
    beta: float

    @property
    def log_harm_needed(self) -> float:
        """The log of the e-value that proves harm."""
        return -math.log(self.alpha)

    @property
    def log_safe_needed(self) -> float:
        """The log of the e-value that proves a margin kept."""
        return -math.log(self.beta)

    def harm(self, worse: Logs, beyond: Logs) -> Logs:
        """Harm is worse at `alpha`, and beyond the margin at `beta`: one log e-value, to be held against `alpha`.

        It is never above `worse`, the log e-value against "no worse", and so it is one too.
        """
        lesser: Logs = np.minimum(worse, beyond + self.log_harm_needed - self.log_safe_needed)
        return lesser


def levels(rules: AnalysisSection) -> Levels:
    """Alpha in equal shares for all tests of harm that count, beta whole for each proof.

    Promotion needs every proof, so one false proof alone promotes nothing (an intersection-union test: Berger 1982).
    """
    tests = sum(_tests(rule) for rule in rules.metrics if not rule.dry_run)
    return Levels(rules.alpha / max(1, tests), rules.beta)


def _tests(rule: MetricRule) -> int:
    return (rule.margin is not None) + (rule.limit is not None)
