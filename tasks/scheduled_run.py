"""A run that a schedule began: whether it comes too late, how long it is held back, and which time it stands for."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from prefect.runtime import flow_run

from deployments.clock import Clock
from deployments.durations import in_words
from tasks.final_states import ENDS
from tasks.operator_log import tell
from tasks.prefect_runs import show_present_run_as
from tasks.schedule_spec import Missed, ScheduleSection

# The name of the state of a run that is left out.
SKIPPED: Final = "Skipped"
# After its time a run was missed: a worker takes seconds, and a busy machine a few minutes.
LATE: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that a schedule began: its deployment, when it was due, and when it began."""

    deployment: UUID
    due: datetime
    began: datetime

    @property
    def missed(self) -> bool:
        """Whether its time passed while nobody was there to start it."""
        return self.began - self.due > LATE

    @property
    def stands_for(self) -> datetime:
        """The run's time, from which a window goes back: when it was due; for one that was missed, when it began."""
        return self.began if self.missed else self.due


def present_scheduled_run(now: datetime) -> ScheduledRun | None:
    """The present flow run, where a schedule of Prefect's began it; None for one that somebody asked for."""
    from prefect.client.orchestration import get_client

    if not flow_run.id:
        return None
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(UUID(str(flow_run.id)))
    if not found.auto_scheduled or found.deployment_id is None or found.expected_start_time is None:
        return None
    return ScheduledRun(found.deployment_id, found.expected_start_time, now)


def left_out(product: str, run: ScheduledRun, schedule: ScheduleSection | None, clock: Clock) -> str | None:
    """Wait for as long as the run is held back; then why it is not wanted any more, in words, or None: it is."""
    pause = pause_before(product, run, schedule)
    if reason := why_left_out(run, schedule, clock.now()):
        tell("schedule.left_out", product=product, due=f"{run.due:%Y-%m-%d %H:%M} UTC", reason=reason)
        return reason
    if pause:
        tell("schedule.waiting", product=product, waits_for=f"its jitter, {in_words(pause)}")
        show_present_run_as("Waiting", f"begins {in_words(pause)} later, by schedule.jitter")
        clock.sleep(pause)
        show_present_run_as("Running", "")
    return why_left_out(run, schedule, clock.now()) if pause else None


def why_left_out(run: ScheduledRun, schedule: ScheduleSection | None, now: datetime) -> str | None:
    """Why this run of a schedule is not wanted any more, in words; None: it is.

    Of runs that were missed, or that waited so long that the next one is due, the newest alone is carried out.
    """
    if run.missed and schedule is not None and schedule.missed is Missed.SKIP:
        return f"it was due at {run.due:%Y-%m-%d %H:%M} UTC, and schedule.missed says skip"
    newer = _newer(run, now)
    return f"the run of {newer:%Y-%m-%d %H:%M} UTC stands for it: one run for all that were missed" if newer else None


def pause_before(product: str, run: ScheduledRun, schedule: ScheduleSection | None) -> timedelta:
    """How long this run is held back so that products begin apart: up to `jitter`, the same for the same run.

    Nothing for one that is late already.
    """
    if schedule is None or schedule.jitter is None or run.missed:
        return timedelta(0)
    drawn = int.from_bytes(sha256(f"{product} {run.due.isoformat()}".encode()).digest()[:8], "big") / 2**64
    return max(timedelta(0), run.due + drawn * schedule.jitter - run.began)


def _newer(run: ScheduledRun, now: datetime) -> datetime | None:
    """When a later run of the same schedule was due that is due by now and was not given up; None: there is none."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                expected_start_time=FlowRunFilterExpectedStartTime(
                    after_=run.due + timedelta(milliseconds=1),
                    before_=now,
                )
            ),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[run.deployment])),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=50,
        )
    given_up = {StateType.CANCELLED, StateType.CANCELLING, StateType.CRASHED}
    due = [
        each.expected_start_time
        for each in found
        if each.auto_scheduled
        and each.expected_start_time is not None
        and (each.state_type not in given_up or each.state_name in ENDS)
    ]
    return max(due, default=None)
