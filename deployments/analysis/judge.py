"""From counts to a verdict: the one question that a rollout asks again and again."""

import math
from collections.abc import Sequence
from dataclasses import replace

from deployments.analysis import sample_ratio_mismatch
from deployments.analysis.error_spending import Levels, levels
from deployments.analysis.evidence import Block
from deployments.analysis.evidence_by_unit import split_into_parts
from deployments.analysis.metric_result import Weighed, finding, suspicion
from deployments.analysis.metric_tests import weigh
from deployments.analysis.rate_metrics import compare_errors, error_bounds, errors_of
from deployments.analysis.verdict import Finding, Nearly, Ruling, Verdict
from deployments.spec import AnalysisSection


def judge(blocks: Sequence[Block], rules: AnalysisSection) -> Verdict:
    """What all `blocks` of a rollout, oldest first, say under `rules`.

    Pure: the same blocks and rules give the same verdict. It may be asked after every block; the chances of error
    hold over all looks together (docs/statistics.md). Proved harm goes before everything else: a split that is not the
    configured one stops a promotion, never a rollback. Without blocks it continues.
    """
    level = levels(rules)
    weighed = _weighed(blocks, rules, level)
    findings = tuple(finding(each, rule, level) for each, rule in zip(weighed, rules.metrics, strict=True))
    if harmful := [found for found in findings if found.is_harm and not found.dry_run]:
        return Verdict(Ruling.ROLL_BACK, _sentences(harmful), findings)
    if wrong := sample_ratio_mismatch.mismatch(blocks, rules.split_tolerance, rules.chosen_keys):
        return Verdict(Ruling.HOLD, wrong, findings)
    return _nearly_harmful(weighed, findings, rules, level) or _without_harm(blocks, weighed, findings)


def bound_on_harm(blocks: Sequence[Block], rules: AnalysisSection) -> float | None:
    """What the candidate's error rate exceeds the stable one's by at most, a share between -1 and 1.

    True at every moment at once, but for a chance of `rules.beta`. None without requests to the candidate or without
    a rule for error_rate; 1.0 where nothing can be compared yet.
    """
    blocks = [block for block in blocks if block.trusted]
    if not any(block.candidate.requests for block in blocks):
        return None
    if all(rule.metric != "error_rate" for rule in rules.metrics):
        return None
    parts = split_into_parts(blocks, rules.given_up)
    comparisons = [compare_errors(arms) for arms in errors_of(parts).whole]
    high = error_bounds(parts, comparisons, levels(rules))[1]
    return 1.0 if high is None else high


def _weighed(blocks: Sequence[Block], rules: AnalysisSection, level: Levels) -> list[Weighed]:
    """All blocks may prove harm; whatever speaks for the candidate comes from the trusted ones alone."""
    parts = split_into_parts(blocks, rules.given_up, rules.chosen_keys)
    weighed = [weigh(parts, rule, level) for rule in rules.metrics]
    trusted = [block for block in blocks if block.trusted]
    if len(trusted) == len(blocks):
        return weighed
    parts = split_into_parts(trusted, rules.given_up)
    proofs = (weigh(parts, rule, level) for rule in rules.metrics)
    return [
        replace(each, safe=proof.safe, missing=proof.missing, few=proof.few, low=proof.low, high=proof.high)
        for each, proof in zip(weighed, proofs, strict=True)
    ]


def _nearly_harmful(
    weighed: Sequence[Weighed], findings: tuple[Finding, ...], rules: AnalysisSection, level: Levels
) -> Verdict | None:
    """A promotion waits while a metric that counts stands near its proof of harm."""
    log_caution = math.log(rules.caution)
    counting = [(found, each) for found, each in zip(findings, weighed, strict=True) if not found.dry_run]
    compared = [pair for pair in counting if pair[1].nearly_harm(level, log_caution)]
    alone = [pair for pair in counting if pair[1].nearly_broken(level, log_caution)]
    if not compared and not alone:
        return None
    said = "; ".join(suspicion(*pair) for pair in counting if pair in compared or pair in alone)
    reason = f"harm is nearly proved, and a promotion waits: {said}"
    return Verdict(Ruling.CONTINUE, reason, findings, Nearly.LIMIT if alone else Nearly.COMPARISON)


def _without_harm(blocks: Sequence[Block], weighed: Sequence[Weighed], findings: tuple[Finding, ...]) -> Verdict:
    pairs = zip(findings, weighed, strict=True)
    open_questions = [(found, each) for found, each in pairs if not found.is_safe and not found.dry_run]
    if open_questions:
        few = all(each.few is not None for _, each in open_questions)
        return Verdict(Ruling.CONTINUE, _sentences([found for found, _ in open_questions]), findings, few=few)
    if not any(block.candidate.requests or block.pairs.compared for block in blocks):
        return Verdict(Ruling.CONTINUE, "the candidate has answered nothing yet: wait for traffic", findings)
    proved = [found for found in findings if found.safe is not None and not found.dry_run]
    return Verdict(Ruling.PROMOTE, _sentences(proved) or "no harm is proved, and nothing else must be", findings)


def _sentences(findings: Sequence[Finding]) -> str:
    return "; ".join(found.sentence for found in findings)
