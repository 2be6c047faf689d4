"""One Prefect server for all contract tests that ask one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest

from deployments.clock import SystemClock
from deployments.local_platform.await_ready import answers, wait_until
from deployments.local_platform.work_pool import ensure_work_pool
from tests.prefect_server import Prefect

LIMIT = timedelta(minutes=3)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    folder = tmp_path_factory.mktemp("prefect")
    made = Prefect(folder)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            made.program.command, env=own | dict(made.program.environment), stdout=log, stderr=log, cwd=folder
        )
    try:
        wait_until(lambda: answers(f"{made.url}/api/health"), "prefect-server", LIMIT, SystemClock())
        ensure_work_pool(made.settings, f"{made.url}/api")
        yield made
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()
