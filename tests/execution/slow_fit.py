"""A process that fits for minutes on a cluster: `python -m tests.execution.slow_fit BACKEND ADDRESS MARK`."""

import sys

from deployments.clock import SystemClock
from deployments.settings import Settings
from tasks.models.fitting import fit
from tests.execution.clusters import PROJECT
from tests.execution.products import product, spread_over
from tests.unit.tasks.models.real_mlflow import split

if __name__ == "__main__":
    backend, address, mark = sys.argv[1:]
    slow = product(factory="own_estimators.sleeping", parameters={"mark": mark}, output="prediction")
    fit(
        spread_over(slow, backend, address),
        split().training,
        Settings(project=PROJECT),
        SystemClock(),
    )
