"""From counts to a verdict: the one question that a rollout asks again and again."""

from collections.abc import Sequence

from deployments.analysis import series, split
from deployments.analysis.evidence import Block
from deployments.analysis.levels import levels
from deployments.analysis.rates import compare_errors, difference_bounds
from deployments.analysis.verdict import Finding, Ruling, Verdict
from deployments.analysis.weighed import finding
from deployments.analysis.weighing import weigh
from deployments.spec import AnalysisSection


def judge(blocks: Sequence[Block], rules: AnalysisSection) -> Verdict:
    """What all `blocks` of a rollout, oldest first, say under `rules`.

    Pure: the same blocks and rules give the same verdict. It may be asked after every block; the chances of error
    hold over all looks together (docs/statistics.md). A split that is not the configured one holds everything but a
    broken limit, which compares nothing. Without blocks it continues.
    """
    level = levels(rules)
    weighed = [weigh(blocks, rule, level) for rule in rules.metrics]
    findings = tuple(finding(each, rule, level) for each, rule in zip(weighed, rules.metrics, strict=True))
    harmful = [found for found in findings if found.is_harm and not found.dry_run]
    broken = [
        found for found, each in zip(findings, weighed, strict=True) if found in harmful and each.breaks_limit(level)
    ]
    if broken:
        return Verdict(Ruling.ROLL_BACK, _sentences(broken), findings)
    if wrong := split.mismatch(blocks, rules.split_tolerance):
        return Verdict(Ruling.HOLD, wrong, findings)
    if harmful:
        return Verdict(Ruling.ROLL_BACK, _sentences(harmful), findings)
    return _without_harm(blocks, findings)


def bound_on_harm(blocks: Sequence[Block], rules: AnalysisSection) -> float | None:
    """What the candidate's error rate exceeds the stable one's by at most, a share between -1 and 1.

    True at every moment at once, but for a chance of `rules.beta`. None without requests to the candidate or without
    a rule for error_rate; 1.0 where nothing can be compared yet.
    """
    arms = series.requests(blocks)
    if not arms.candidate.sum() or all(rule.metric != "error_rate" for rule in rules.metrics):
        return None
    high = difference_bounds(compare_errors(arms), levels(rules))[1]
    return 1.0 if high is None else high


def _without_harm(blocks: Sequence[Block], findings: tuple[Finding, ...]) -> Verdict:
    open_questions = [found for found in findings if not found.is_safe and not found.dry_run]
    if open_questions:
        return Verdict(Ruling.CONTINUE, _sentences(open_questions), findings)
    if not any(block.candidate.requests or block.pairs.compared for block in blocks):
        return Verdict(Ruling.CONTINUE, "the candidate has answered nothing yet: wait for traffic", findings)
    proved = [found for found in findings if found.safe is not None and not found.dry_run]
    return Verdict(Ruling.PROMOTE, _sentences(proved) or "no harm is proved, and nothing else must be", findings)


def _sentences(findings: Sequence[Finding]) -> str:
    return "; ".join(found.sentence for found in findings)
