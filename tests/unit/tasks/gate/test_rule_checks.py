import math
from typing import Any

import pytest

from tasks.gate.metrics import Direction, direction_of, metrics_of
from tasks.gate.rule_checks import GateVerdict, Unscorable, judge, rows_for_table
from tasks.gate.scoring import Scores
from tasks.problem_types import TaskKind
from tasks.product_spec import Comparison, GateSection, Threshold

METRICS = [metric for kind in TaskKind for metric in metrics_of(kind)]
NAN = math.nan


def gate(*thresholds: Threshold, against: tuple[Comparison, ...] = ()) -> GateSection:
    return GateSection(thresholds=thresholds or (Threshold(metric="accuracy", min=-1000.0),), against_champion=against)


def scores(reasons: dict[str, str] | None = None, **values: float) -> Scores:
    return Scores({"accuracy": 1.0} | values, reasons or {})


def compared(candidate: float, champion: float, metric: str = "roc_auc", margin: float = 0.0) -> GateVerdict:
    rule = gate(against=(Comparison(metric=metric, margin=margin),))
    return judge(rule, scores(**{metric: candidate}), scores(**{metric: champion}), constant=False)


def test_a_value_below_the_floor_fails_with_both_numbers() -> None:
    verdict = judge(gate(Threshold(metric="roc_auc", min=0.62)), scores(roc_auc=0.512), None, constant=False)

    assert not verdict.passed
    assert verdict.failures == ("roc_auc 0.512 is below the floor 0.62",)
    assert str(verdict) == "roc_auc 0.512 is below the floor 0.62"


def test_a_value_above_the_ceiling_fails_with_both_numbers() -> None:
    verdict = judge(gate(Threshold(metric="log_loss", max=0.6)), scores(log_loss=0.7), None, constant=False)

    assert verdict.failures == ("log_loss 0.700 is above the ceiling 0.6",)


def test_a_value_on_the_limit_passes() -> None:
    verdict = judge(gate(Threshold(metric="accuracy", min=0.9, max=0.9)), scores(accuracy=0.9), None, constant=False)

    assert verdict.passed
    assert str(verdict) == "passed"


def test_two_numbers_that_round_alike_are_told_apart() -> None:
    verdict = judge(gate(Threshold(metric="roc_auc", min=0.62)), scores(roc_auc=0.6199999), None, constant=False)

    assert verdict.failures == ("roc_auc 0.619999900 is below the floor 0.62",)


@pytest.mark.parametrize("values", [{"roc_auc": NAN}, {}])
@pytest.mark.parametrize("limit", [{"min": -9.0}, {"max": 9.0}, {"min": -9.0, "max": 9.0}])
def test_nan_or_a_missing_metric_never_keeps_a_limit(values: dict[str, float], limit: dict[str, float]) -> None:
    verdict = judge(gate(Threshold(metric="roc_auc", **limit)), scores(**values), None, constant=False)

    assert not verdict.passed
    assert len(verdict.failures) == len(limit)


def test_a_nan_is_explained() -> None:
    candidate = scores({"roc_auc": "all held-out rows are of class True"}, roc_auc=NAN)

    verdict = judge(gate(Threshold(metric="roc_auc", min=0.1)), candidate, None, constant=False)

    assert verdict.failures == ("roc_auc could not be computed: all held-out rows are of class True",)


@pytest.mark.parametrize(("ours", "theirs"), [(NAN, 0.5), (0.5, NAN), (NAN, NAN)])
def test_a_comparison_with_nan_on_either_side_fails(ours: float, theirs: float) -> None:
    assert not compared(ours, theirs, margin=100.0).passed


def test_a_champion_that_lacks_the_metric_fails_the_comparison() -> None:
    rule = gate(against=(Comparison(metric="roc_auc"),))

    verdict = judge(rule, scores(roc_auc=0.9), scores(), constant=False)

    assert verdict.failures == ("champion: roc_auc could not be computed: it was not measured",)


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_knows_its_direction(metric: str) -> None:
    better, worse = (0.8, 0.2) if direction_of(metric) is Direction.HIGHER else (0.2, 0.8)

    assert compared(better, worse, metric).passed
    assert compared(better, better, metric).passed
    assert not compared(worse, better, metric).passed
    assert compared(worse, better, metric, margin=0.7).passed


def test_worse_than_the_champion_reads_well() -> None:
    assert compared(0.69, 0.72, margin=0.01).failures == (
        "roc_auc 0.690 is worse than the champion's 0.720 by more than 0.01",
    )


def test_a_constant_predictor_never_passes_however_good_its_numbers() -> None:
    verdict = judge(gate(), scores(), None, constant=True)

    assert verdict.failures == ("the model says the same for every row",)


def test_without_a_champion_the_comparison_is_shown_as_not_made() -> None:
    verdict = judge(gate(against=(Comparison(metric="roc_auc"),)), scores(roc_auc=0.9), None, constant=False)

    assert verdict.passed
    assert verdict.checks[-1].reason == "no champion yet: nothing to compare with"


@pytest.mark.parametrize("asked", [True, False])
def test_a_champion_that_cannot_score_is_never_taken_for_none(asked: bool) -> None:
    rule = gate(against=(Comparison(metric="roc_auc"),) if asked else ())

    verdict = judge(rule, scores(roc_auc=0.9), Unscorable("the rows lack the features wind"), constant=False)

    assert verdict.passed is not asked
    assert verdict.checks[-1].reason.startswith("the champion cannot score these rows: the rows lack the features wind")
    assert ("leave gate.against_champion out" in verdict.checks[-1].reason) is asked


def test_one_failure_among_many_checks_fails_the_gate() -> None:
    rule = gate(Threshold(metric="accuracy", min=0.5), Threshold(metric="brier", max=0.1))

    verdict = judge(rule, scores(brier=0.2), None, constant=False)

    assert [check.passed for check in verdict.checks] == [True, True, False]
    assert not verdict.passed


def test_the_table_shows_every_check_as_text() -> None:
    rows = rows_for_table(compared(0.7, NAN))

    assert [row["result"] for row in rows] == ["passed", "passed", "FAILED"]
    assert (rows[-1]["candidate"], rows[-1]["champion"], rows[-1]["limit"]) == ("0.7", "not computed", "")
    table: list[dict[str, Any]] = rows
    assert all(isinstance(value, str) for row in table for value in row.values())
