from collections.abc import Sequence

import numpy as np
import pytest

from deployments.analysis.ab_winner import winner
from deployments.analysis.evidence import Block, Counts, Pairs, Sums
from deployments.spec import AnalysisSection, MetricRule
from tests.unit.deployments.analysis.blocks import block, errors, latency, repeated, traffic

ERRORS = MetricRule(metric="error_rate", margin=0.01)
LATENCY = MetricRule(metric="latency", margin=1.0)


def _liked(stable: float, candidate: float) -> Block:
    return block(
        Counts(feedback={"value": Sums(400, 400 * stable, 0.0)}),
        Counts(feedback={"value": Sums(400, 400 * candidate, 0.0)}),
    )


@pytest.mark.parametrize(
    ("rule", "better"),
    [
        (ERRORS, errors((20, 500), (5, 500))),
        (LATENCY, block(latency({3: 300, 10: 150}), latency({3: 440, 10: 10}))),
        (MetricRule(metric="accuracy", margin=0.1), block(pairs=Pairs(100, 20, 2, 18))),
        (MetricRule(metric="feedback.value", margin=0.05), _liked(0.4, 0.6)),
        (MetricRule(metric="feedback.value", margin=0.05, better="lower"), _liked(0.6, 0.4)),
    ],
)
def test_a_better_candidate_wins_by_any_metric(rule: MetricRule, better: Block) -> None:
    assert winner(repeated(better, 20), AnalysisSection(metrics=(rule,))) == "candidate"
    dry = rule.model_copy(update={"dry_run": True})
    assert winner(repeated(better, 20), AnalysisSection(metrics=(dry,))) is None


def test_the_stable_version_wins_where_harm_is_proved() -> None:
    assert winner(repeated(errors((5, 500), (40, 500)), 20), AnalysisSection(metrics=(ERRORS,))) == "stable"


def test_who_is_faster_and_fails_more_does_not_win() -> None:
    slow, fast = latency({3: 300, 10: 200}), latency({3: 490, 10: 10})
    both = block(Counts(500, 5, slow.latency), Counts(500, 40, fast.latency))
    assert winner(repeated(both, 20), AnalysisSection(metrics=(ERRORS, LATENCY))) == "stable"


@pytest.mark.parametrize("blocks", [[], repeated(errors((5, 500), (5, 500), 0.5), 20)])
def test_equals_have_no_winner(blocks: Sequence[Block]) -> None:
    assert winner(blocks, AnalysisSection(metrics=(ERRORS, LATENCY))) is None


def test_a_wrong_split_has_no_winner() -> None:
    assert winner(repeated(errors((40, 900), (0, 100), 0.5), 20), AnalysisSection(metrics=(ERRORS,))) is None


def test_equals_have_no_winner_over_many_looks_and_runs() -> None:
    rules = AnalysisSection(metrics=(ERRORS,))
    found = []
    for run in range(25):
        blocks = traffic(np.random.default_rng(run), 12, 500, 0.5, 0.02, 0.02)
        found += [winner(blocks[:look], rules) for look in range(2, 13, 2)]
    assert found.count(None) >= len(found) - 4
