"""Both models' scores on the held-out rows, for people: also those that no rule of the gate asks for."""

import math
from collections.abc import Collection

from tasks.gate.evaluate import Evaluation
from tasks.gate.rule_checks import CHAMPION


def scores_beside(evaluation: Evaluation, champion: str | None) -> dict[str, str]:
    """Every metric with both scores, such as `0.7123, v1 0.7034`; `champion` is its name, None if there is none.

    Also `champion`, why it has none, where it cannot score these rows.
    """
    theirs = evaluation.champion.values if evaluation.champion else {}
    told = {
        name: _shown(value) + (f", {champion} {_shown(theirs[name])}" if name in theirs else "")
        for name, value in evaluation.candidate.values.items()
    }
    return told | ({} if champion is None or theirs else {"champion": _why_not(evaluation)})


def champion_scores(evaluation: Evaluation, metrics: Collection[str]) -> dict[str, float]:
    """The champion's scores in `metrics`; empty where it has none."""
    theirs = evaluation.champion.values if evaluation.champion else {}
    return {name: round(theirs[name], 4) for name in metrics if name in theirs}


def rows_without_rule(evaluation: Evaluation, asked: Collection[str]) -> list[dict[str, str]]:
    """Rows as of `verdict.rows_for_table` for metrics without a rule, or without one that compares both models."""
    theirs = evaluation.champion.values if evaluation.champion else {}
    compared = {check.metric for check in evaluation.verdict.checks if check.champion is not None}
    return [
        {
            "metric": name,
            "rule": "none",
            "candidate": _shown(value),
            "champion": _shown(theirs[name]) if name in theirs else "",
            "limit": "",
            "result": "",
            "reason": "shown only: no rule asks for it" if name not in asked else "shown only: no rule compares it",
        }
        for name, value in evaluation.candidate.values.items()
        if name not in asked or (name in theirs and name not in compared)
    ]


def _why_not(evaluation: Evaluation) -> str:
    return next((check.reason for check in evaluation.verdict.checks if check.metric == CHAMPION), "it has no scores")


def _shown(value: float) -> str:
    return "not computed" if math.isnan(value) else f"{value:.4g}"
