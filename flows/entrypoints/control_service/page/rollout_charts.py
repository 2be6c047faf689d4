"""The charts of a rollout: who gets what, what failed, how fast, and how strong the evidence is."""

from collections.abc import Collection, Sequence
from datetime import datetime

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.rollout.state import RolloutState
from flows.entrypoints.control_service.page.course import Course, Stretch
from flows.entrypoints.control_service.page.svg import Chart, Point, Series, evidence_chart, log10, time_chart
from flows.entrypoints.control_service.page.wording import e_value

Weights = Sequence[tuple[datetime, float]]


def traffic_charts(state: RolloutState, course: Course, weights: Weights) -> list[Chart]:
    """Three: the candidate's share, errors of both, latency of both; without a champion only what there is."""
    span = _span(state, course)
    shares = [Point(at, share) for at, share in weights]
    shares.append(Point(span[1], shares[-1].value if shares else 0.0))
    said = f"v{state.candidate} has {shares[-1].value:g} % of the requests now"
    found = [time_chart("Share of the candidate", said, [_line(state, "candidate", shares, stepped=True)], span, " %")]
    stretches = course.stretches
    if not stretches:
        return found
    errors = _both(
        state, [(each.end, _error_percent(each.stable), _error_percent(each.candidate)) for each in stretches]
    )
    slow = _both(state, [(each.end, _p95(each.stable), _p95(each.candidate)) for each in stretches])
    found.append(time_chart("Requests that failed", _compared(state, course, _error_percent, "%"), errors, span, " %"))
    found.append(time_chart("Latency, 95th percentile", _compared(state, course, _p95, "ms"), slow, span, " ms"))
    return found


def evidence_charts(state: RolloutState, course: Course) -> list[Chart]:
    """One for each metric that is weighed."""
    span = _span(state, course)
    return [_of_metric(each.metric, course.stretches, span, only_watched(state)) for each in course.weighings]


def only_watched(state: RolloutState) -> frozenset[str]:
    """The metrics that decide nothing: dry runs."""
    return frozenset(rule.metric for rule in state.section.analysis.metrics if rule.dry_run)


def _of_metric(
    metric: str, stretches: Sequence[Stretch], span: tuple[datetime, datetime], dry: Collection[str]
) -> Chart:
    found = [(each.end, weighing) for each in stretches for weighing in each.weighings if weighing.metric == metric]
    last = found[-1][1]
    series = [Series("evidence of harm", "harm", [Point(at, log10(each.harm)) for at, each in found])]
    said = f"evidence of harm {e_value(last.harm)} of the {last.harm_needed:,.0f} that prove it"
    if last.safe is not None:
        points = [Point(at, -log10(each.safe or 0.0)) for at, each in found]
        series.append(Series("evidence that it is not worse", "safe", points))
        said += f"; evidence that it is not worse {e_value(last.safe)} of the {last.safe_needed:,.0f} that prove it"
    needed = last.harm_needed, None if last.safe is None else last.safe_needed
    if metric in dry:
        said += "; it is only watched, and decides nothing (a dry run)"
    return evidence_chart(metric.replace("_", " "), said, series, span, needed)


def _span(state: RolloutState, course: Course) -> tuple[datetime, datetime]:
    ends = [state.updated_at, course.looked_at or state.started_at]
    return state.started_at, max(ends)


def _line(state: RolloutState, who: str, points: Sequence[Point], *, stepped: bool = False) -> Series:
    name = f"v{state.candidate} (candidate)" if who == "candidate" else f"v{state.former} (champion)"
    return Series(name, who, points, stepped)


def _both(state: RolloutState, values: Sequence[tuple[datetime, float | None, float | None]]) -> list[Series]:
    champion = _line(state, "champion", [Point(at, value) for at, value, _ in values])
    candidate = _line(state, "candidate", [Point(at, value) for at, _, value in values])
    return [champion, candidate] if state.former is not None else [candidate]


def _compared(state: RolloutState, course: Course, of: object, unit: str) -> str:
    told = []
    for version, counts in ((state.former, course.stable), (state.candidate, course.candidate)):
        value = of(counts) if version is not None and callable(of) else None
        if value is not None:
            told.append(f"v{version} {value:.3g} {unit}")
    return " against ".join(told) + " over the whole rollout" if told else "nothing was measured"


def _error_percent(counts: Counts) -> float | None:
    return 100 * counts.errors / counts.requests if counts.requests else None


def _p95(counts: Counts) -> float | None:
    """Within its bucket as if latencies were spread evenly over it; the last bound for what is slower."""
    wanted, seen, low = 0.95 * sum(counts.latency), 0.0, 0.0
    if not wanted:
        return None
    for bound, count in zip(LATENCY_BOUNDS_MS, counts.latency, strict=False):
        if count and seen + count >= wanted:
            return low + (bound - low) * (wanted - seen) / count
        seen, low = seen + count, float(bound)
    return low
