"""Who asked for the run at hand, as the history says it."""

from typing import Final

from deployments.access_control.principal import at_command_line
from deployments.prefect_api import ASKED_BY

# Prefect's tag for runs of a schedule.
_SCHEDULED: Final = "auto-scheduled"


def asked_by() -> str:
    """Whoever started the run: at a command line, at the control service, by the schedule, or on Prefect's pages.

    Whoever may start runs at Prefect may write any name into a run's tags: he knows the platform's password.
    """
    from prefect.runtime import deployment, flow_run

    for tag in flow_run.tags or ():
        if tag.startswith(ASKED_BY):
            return str(tag.removeprefix(ASKED_BY))
    if deployment.id is None:
        return at_command_line()
    by = "schedule" if _SCHEDULED in (flow_run.tags or ()) else "Prefect"
    return f"{flow_run.name} ({by})"
