"""`python -m flows.entrypoints.prefect_worker POOL`: Prefect's worker, which shows the platform's password.

The password goes by the environment of the process, which no other account reads, and so to the runs that it starts; no
definition of a program holds it.
"""

import os
import sys
from typing import NoReturn

from deployments.platform.environment import password_of_prefect
from deployments.settings import current


def main() -> NoReturn:
    """Becomes the worker."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", sys.argv[1], "--type", "process"]
    os.execve(command[0], command, os.environ | password_of_prefect(current()))  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
