"""`python -m flows.entrypoints.prefect_worker POOL`: Prefect's worker, which shows the platform's password.

The password goes by the environment of the process, which no other account reads, and so to the runs that it starts; no
definition of a program holds it.

Prefect keeps files of runs below a name of everybody's temporary folder (`runner_storage`) that another account can
take first; so the worker and its runs have a temporary folder of their own.
"""

import os
import sys
from typing import NoReturn

from deployments.platform.environment import password_of_prefect
from deployments.private import private_folder
from deployments.settings import current


def main() -> NoReturn:
    """Becomes the worker."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", sys.argv[1], "--type", "process"]
    settings = current()
    temporary = private_folder(settings.run_folder / "tmp", "remove what stands there")
    variables = os.environ | password_of_prefect(settings) | {"TMPDIR": str(temporary)}
    os.execve(command[0], command, variables)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
