"""Both models' scores stand beside each other, whatever the gate asks; and what was compared is told as it is."""

import math
from typing import Any

import pytest

from tasks.gate.evaluate import Evaluation
from tasks.gate.rule_checks import Unscorable, judge
from tasks.gate.score_report import champion_scores, held_against, rows_without_rule, scores_beside
from tasks.gate.scoring import Scores
from tasks.product_spec import Comparison, GateSection, Threshold

LIMIT = Threshold(metric="accuracy", min=0.5)
OURS, THEIRS = Scores({"accuracy": 0.7123, "f1": 0.4, "log_loss": math.nan}, {}), Scores({"accuracy": 0.70341}, {})


def evaluated(champion: Scores | Unscorable | None, *, compares: bool = False) -> Evaluation:
    gate = gate_with(compares)
    former = champion if isinstance(champion, Scores) else None
    return Evaluation(OURS, former, judge(gate, OURS, champion, constant=False))


def gate_with(compares: bool) -> GateSection:
    return GateSection(thresholds=(LIMIT,), against_champion=(Comparison(metric="accuracy"),) if compares else ())


@pytest.mark.parametrize("compares", [True, False])
def test_the_champions_score_stands_beside_the_candidates_whether_or_not_a_rule_asks(compares: bool) -> None:
    told = scores_beside(evaluated(THEIRS, compares=compares), "v1")
    assert told == {"accuracy": "0.7123, v1 0.7034", "f1": "0.4", "log_loss": "not computed"}
    assert champion_scores(evaluated(THEIRS), ["accuracy", "f1"]) == {"accuracy": 0.7034}


def test_without_a_champion_there_is_one_score() -> None:
    assert scores_beside(evaluated(None), None) == {"accuracy": "0.7123", "f1": "0.4", "log_loss": "not computed"}


def test_a_champion_that_cannot_score_the_rows_is_told_with_the_reason() -> None:
    told = scores_beside(evaluated(Unscorable("the rows lack the features stops")), "v1")
    assert told["champion"] == "the champion cannot score these rows: the rows lack the features stops"


def test_the_table_has_both_scores_of_metrics_that_no_rule_asks_for() -> None:
    rows = {row["metric"]: row for row in rows_without_rule(evaluated(THEIRS), ["accuracy"])}
    assert (rows["accuracy"]["candidate"], rows["accuracy"]["champion"]) == ("0.7123", "0.7034")
    assert rows["accuracy"]["reason"] == "shown only: no rule compares it"
    assert rows["f1"]["reason"] == "shown only: no rule asks for it"
    assert "accuracy" not in {
        row["metric"] for row in rows_without_rule(evaluated(THEIRS, compares=True), ["accuracy"])
    }


@pytest.mark.parametrize(
    ("serving", "champion", "compares", "against"),
    [
        (None, None, True, "no champion"),
        (1, THEIRS, True, "v1"),
        (1, THEIRS, False, "its limits alone: no rule compares it with v1"),
        (1, Unscorable("gone"), True, "its limits alone: v1 cannot score these rows"),
    ],
)
def test_nothing_is_said_to_be_compared_that_was_not(
    serving: int | None, champion: Any, compares: bool, against: str
) -> None:
    assert held_against(serving, evaluated(champion, compares=compares), asked=compares) == against
