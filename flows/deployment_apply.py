"""Prefect as the specs of a folder say: deployments, schedules, the limit of trainings, and no crowd of missed runs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from deployments.errors import PlatformUnreachable
from deployments.local_platform.prefect_deployments import prefect_file, spec_files
from deployments.plurals import counted
from deployments.prefect_api import PrefectApi
from deployments.settings import Settings
from flows.deployment_definitions import OURS, RELEASE, Definitions, definitions, lone_release
from flows.deployment_plan import Change, carry_out, changes
from flows.policies import AutomationChange, LimitChange
from tasks.scheduled_run import LATE, SKIPPED
from tasks.spec_file import load_product
from tasks.training_turn import LIMIT

_SHOWN: Final = 600
Difference = Change | AutomationChange | LimitChange


def wanted_by(settings: Settings, specs: Path | None = None) -> Definitions:
    """What Prefect should have by the project's prefect.yaml and its specs, or those of another folder."""
    file, own = prefect_file(settings)
    return definitions(file, own, specs or settings.specs_folder)


def bring(
    found: Definitions,
    differences: Iterable[Difference],
    api: PrefectApi,
    settings: Settings,
    tell: Callable[[Difference], None],
) -> None:
    """Carry out the differences, and let `tell` know of each that is done. Doing it again does no harm.

    Entries of prefect.yaml that only Prefect understands go to `prefect deploy`, in a process of its own. Raises
    `PlatformUnreachable` where that fails.
    """
    for change in differences:
        carry_out(change, api) if isinstance(change, Change) else change.carry_out(api)
        tell(change)
    api.set_limit(LIMIT, settings.trainings_at_once)
    api.free_slots_without_run(LIMIT, RELEASE)
    if found.left:
        _by_prefect(found, api)


def bring_one(file: Path, called: str, settings: Settings) -> None:
    """Make the release of one spec, whose product runs call so, at the Prefect of PREFECT_API_URL.

    A spec in a folder below specs/ has a deployment that no `seatrial apply` makes, changes or takes away.
    """
    found, product = wanted_by(settings), load_product(file)
    if file not in spec_files(settings.specs_folder):
        found = replace(found, wanted=(lone_release(called, product, found.pool),))
    with PrefectApi.of_environment() as api:
        for change in changes(found, api):
            if change.address == f"{RELEASE}/{product.product}" and change.wanted is not None:
                carry_out(change, api)


def skip_missed(api: PrefectApi, now: datetime) -> int:
    """Of runs whose time passed while nobody started them, one a product stays, the newest. Returns how many do not.

    For the time before a worker starts: each of them would be a process that finds out that it is not wanted.
    """
    skipped = 0
    for deployment in api.deployments(OURS):
        if deployment["flow"] != RELEASE:
            continue
        waiting = api.runs(deployment["id"], ["SCHEDULED"], newest=False, limit=200)
        late = [run for run in waiting if run["auto_scheduled"] and _expected(run) < now - LATE]
        for run in late[:-1]:
            api.end_run(run["id"], SKIPPED, "missed while the platform was down: the newest run stands for it")
        skipped += max(0, len(late) - 1)
    return skipped


def summary(found: Definitions, differences: Iterable[Difference]) -> str:
    """One line: what there is, and what was changed."""
    products = sum(1 for each in found.wanted if each.flow == RELEASE)
    changed = len(tuple(differences))
    return f"{counted(products, 'product')} on Prefect's page Deployments ({counted(changed, 'change')})"


def _expected(run: dict[str, str]) -> datetime:
    return datetime.fromisoformat(run["expected_start_time"])


def _by_prefect(found: Definitions, api: PrefectApi) -> None:
    names = [argument for name in found.left for argument in ("--name", name)]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(found.file), *names],
        env=os.environ | {"PREFECT_API_URL": api.address},
        cwd=found.file.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=timedelta(minutes=10).total_seconds(),
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-_SHOWN:]
        raise PlatformUnreachable(f"`prefect deploy` did not take {', '.join(found.left)} of {found.file}: {said}")
