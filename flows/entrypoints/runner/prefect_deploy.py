"""`python -m flows.entrypoints.runner.prefect_deploy`: what `seatrial up` runs before the worker starts.

Brings Prefect's deployments to what prefect.yaml and the specs say. A spec that cannot be used keeps what it has, and
is named: one mistake in a file may not keep a platform from starting.
"""

import sys

from deployments.clock import SystemClock
from deployments.errors import SeatrialError
from deployments.plurals import counted
from deployments.prefect_api import PrefectApi
from deployments.settings import current
from flows.deployment_apply import bring, skip_missed, summary, wanted_by
from flows.deployment_plan import changes


def main() -> int:
    """By PREFECT_API_URL; returns an exit code, and says in a line or more what was done."""
    settings = current()
    try:
        found = wanted_by(settings)
        with PrefectApi.of_environment() as api:
            differences = changes(found, api)
            bring(found, differences, api, settings, lambda _: None)
            skipped = skip_missed(api, SystemClock().now())
    except SeatrialError as error:
        _say(str(error))
        return error.exit_code
    _say(summary(found, differences))
    if skipped:
        _say(f"{counted(skipped, 'missed run')} left out, for each product's newest run stands for them")
    for problem in found.broken.values():
        _say(f"left as it was: {problem}")
    return 0


def _say(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - read by whoever started this process


if __name__ == "__main__":
    sys.exit(main())
