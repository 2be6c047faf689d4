"""The page of one product: where its rollout is, how strong the evidence is, what it waits for, what was before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from deployments.access_control.principal import Principal
from deployments.analysis.evidence import Counts
from deployments.durations import in_words
from deployments.journals.protocol import Event
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve, Observe, Shift
from deployments.rollout.wait_conditions import Waiting, waiting
from flows.entrypoints.control_service.page.course import Course
from flows.entrypoints.control_service.page.live_look import MOST_EVENTS, MOST_ROLLOUTS, ProductSeen, Seen
from flows.entrypoints.control_service.page.orders import offers
from flows.entrypoints.control_service.page.overview import row_of
from flows.entrypoints.control_service.page.rendering import render
from flows.entrypoints.control_service.page.rollout_charts import evidence_charts, only_watched, traffic_charts
from flows.entrypoints.control_service.page.wording import HIDDEN, PHASES, line_of, step_in_words
from flows.reports.progress import quantile, weights_over_time

# In the order in which they stand in the page.
PARTS: Final = ("now", "actions", "charts", "evidence", "plan", "history", "versions")


@dataclass(frozen=True, slots=True)
class Need:
    """What an observation still waits for: how many more requests, of which metric, and when that will be."""

    metric: str
    requests: int
    at: datetime | None
    left: timedelta | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a person: the rollout's, who asked for the rollout, and what speaks for a yes."""

    question: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Arm:
    """What one version did in the whole rollout."""

    name: str
    role: str
    requests: int
    errors: int
    error_percent: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of the plan; `state` is done, now or ahead."""

    number: int
    words: str
    state: str
    share: float | None


@dataclass(frozen=True, slots=True)
class Past:
    """One rollout of the product."""

    version: int
    role: str
    outcome: str
    tone: str
    strategy: str
    reason: str
    started_at: datetime
    run: str


def product_parts(found: ProductSeen, seen: Seen, principal: Principal) -> Mapping[str, str]:
    """HTML of every part of the page, by its id."""
    state, course = found.state, found.course
    known = {
        "report": found.report,
        "row": row_of(found.report, state),
        "state": state,
        "live": state is not None and state.live,
        "trouble": seen.trouble,
        "links": found.links,
    }
    parts = {"now": render("now.html", **known, **_now(found))}
    parts["actions"] = render(
        "actions.html",
        **known,
        offers=offers(found.report, state, principal),
        orders=found.orders,
        carried=found.carried,
    )
    events = [each for each in found.events if state is not None and each.run == state.rollout_id]
    charts = traffic_charts(state, course, weights_over_time(state, events)) if state and course else []
    parts["charts"] = render("charts.html", **known, charts=charts, arms=_arms(state, course))
    parts["evidence"] = render(
        "evidence.html",
        **known,
        charts=evidence_charts(state, course) if state and course else [],
        weighings=course.weighings if course else (),
        dry=only_watched(state) if state else (),
        needs=_needs(state, course),
    )
    parts["plan"] = render("plan.html", **known, plan=_plan(state))
    lines = [line_of(each) for each in reversed(found.events) if each.kind not in HIDDEN]
    parts["history"] = render("history.html", **known, lines=lines, more=len(found.events) >= MOST_EVENTS)
    parts["versions"] = render(
        "versions.html", **known, rollouts=_past(found), more=len(found.rollouts) >= MOST_ROLLOUTS
    )
    return parts


def _now(found: ProductSeen) -> Mapping[str, Any]:
    state = found.state
    wait = waiting(state) if state is not None else None
    phase, tone = PHASES[state.phase] if state is not None else ("", "off")
    return {
        "phase": phase,
        "tone": tone,
        "wait": wait,
        "until": _until(wait),
        "asked": _asked(state, found.events),
        "looked_at": found.course.looked_at if found.course and state is not None and state.live else None,
        "carried": found.carried,
        "observed": _observed(state),
        "by": _who_asked(found.events, state.rollout_id) if state is not None else "",
    }


def _until(wait: Waiting | None) -> datetime | None:
    return wait.until if wait is not None else None


def _observed(state: RolloutState | None) -> str:
    if state is None or not state.live or not isinstance(state.step, Observe) or not state.step.time:
        return ""
    return f"{in_words(state.observed)} of {in_words(state.step.time)} healthy time"


def _asked(state: RolloutState | None, events: Sequence[Event]) -> Asked | None:
    if state is None or state.phase is not Phase.WAITING or not isinstance(state.step, Approve):
        return None
    return Asked(state.step.question, _who_asked(events, state.rollout_id), state.reason)


def _who_asked(events: Sequence[Event], run: str) -> str:
    asked = (str(each.detail.get("who", "")) for each in events if each.run == run and each.kind.endswith(".asked"))
    return next(asked, "")


def _needs(state: RolloutState | None, course: Course | None) -> list[Need]:
    """Of every question that is open; at the present rate of requests."""
    if state is None or course is None or not state.live or course.looked_at is None:
        return []
    rate, found = course.rate(), []
    for each in course.weighings:
        if each.still_needed:
            left = timedelta(seconds=min(each.still_needed / rate, 1e8)) if rate else None
            found.append(Need(each.metric, each.still_needed, course.looked_at + left if left else None, left))
    return found


def _arms(state: RolloutState | None, course: Course | None) -> list[Arm]:
    if state is None or course is None or not course.stretches:
        return []
    versions = [(state.former, "champion", course.stable), (state.candidate, "candidate", course.candidate)]
    return [_arm(f"v{version}", role, counts) for version, role, counts in versions if version is not None]


def _arm(name: str, role: str, counts: Counts) -> Arm:
    percent = 100 * counts.errors / counts.requests if counts.requests else None
    return Arm(
        name,
        role,
        counts.requests,
        counts.errors,
        percent,
        quantile(counts.latency, 0.5),
        quantile(counts.latency, 0.95),
    )


def _plan(state: RolloutState | None) -> list[Planned]:
    if state is None:
        return []
    return [
        Planned(
            number,
            step_in_words(step),
            "done" if number <= state.done else "now" if state.live and number == state.done + 1 else "ahead",
            step.weights.of(state.candidate) if isinstance(step, Shift) else None,
        )
        for number, step in enumerate(state.steps, 1)
    ]


def _past(found: ProductSeen) -> list[Past]:
    champion = found.report["champion"]
    told = []
    for each in found.rollouts:
        outcome, tone = PHASES[each.phase]
        role = "champion" if each.candidate == champion else "candidate" if each.live else ""
        told.append(
            Past(each.candidate, role, outcome, tone, each.strategy, each.reason, each.started_at, each.rollout_id)
        )
    return told
