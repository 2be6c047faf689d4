"""`python -m flows.entrypoints.runner.prefect_worker POOL`: Prefect's worker, which shows the platform's password.

The password goes by the environment of the process, which no other account reads, and so to the runs that it starts; no
definition of a program holds it.

Prefect keeps files of runs below a name of everybody's temporary folder (`runner_storage`) that another account can
take first; so the worker and its runs have a temporary folder of their own.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

from deployments.account_isolation import private_folder
from deployments.local_platform.environment import password_of_prefect
from deployments.settings import Settings, current


def main() -> NoReturn:
    """Becomes the worker."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", sys.argv[1], "--type", "process"]
    settings = current()
    variables = os.environ | password_of_prefect(settings) | {"TMPDIR": str(temporary_folder(settings))}
    os.execve(command[0], command, variables)  # noqa: S606 - no shell is wanted


def temporary_folder(settings: Settings) -> Path:
    """Where worker and runs keep what is temporary. Raises `BadInput` for a place that another account has taken."""
    return private_folder(settings.run_folder / "tmp", "remove what stands there")


if __name__ == "__main__":
    main()
