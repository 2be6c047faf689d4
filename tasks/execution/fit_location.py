"""Where a fit runs, as the spec says it."""

import contextlib
import importlib.util
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final, assert_never

from deployments.clock import Clock
from deployments.durations import format_duration
from deployments.errors import BadInput, BadSpec, PlatformUnreachable
from deployments.settings import Settings
from tasks.execution.cluster_liveness import watched
from tasks.execution.cluster_protocol import Cluster
from tasks.product_spec import Backend, ExecutionSection

_MODULES: Final = {Backend.DASK: "distributed", Backend.RAY: "ray"}
_GLANCE: Final = timedelta(milliseconds=200)
# Dask's scheduler answers nothing while it imports what a piece needs: on a loaded machine that took 20 s.
_SILENCE: Final = timedelta(minutes=1)


def check_installed(execution: ExecutionSection) -> None:
    """Raises `BadSpec` with the extra to install if the backend is not there."""
    module = _MODULES.get(execution.backend)
    if module and importlib.util.find_spec(module) is None:
        name = execution.backend.value
        raise BadSpec(f"execution.backend is {name}, which is not installed: pip install 'seatrial[{name}]'")


def within_cores(execution: ExecutionSection, settings: Settings) -> Settings:
    """The settings, with no more cores of this machine than the spec allows."""
    if execution.backend is not Backend.LOCAL or execution.jobs is None:
        return settings
    return settings.model_copy(update={"training_jobs": min(execution.jobs, settings.training_jobs)})


@contextlib.contextmanager
def parallel_backend(execution: ExecutionSection, clock: Clock) -> Iterator[None]:
    """Within the block, what scikit-learn does in parallel is done where the spec says.

    Raises `BadSpec` for a backend that is not installed, `BadInput` for workers of other versions, and
    `PlatformUnreachable` for a cluster that does not answer in time, has no workers, or is lost meanwhile.
    """
    if execution.backend is Backend.LOCAL:
        yield
        return
    check_installed(execution)
    with _connected(execution) as cluster, fitted_by(cluster, execution, clock):
        yield


@contextlib.contextmanager
def fitted_by(cluster: Cluster, execution: ExecutionSection, clock: Clock) -> Iterator[None]:
    """Within the block a connected cluster does what scikit-learn does in parallel; raises as `parallel_backend`."""
    from joblib import parallel_config

    from tasks.execution.joblib_backend import ClusterBackend

    name = f"{execution.backend.value} cluster at {execution.address}"
    with watched(cluster, name, _SILENCE.total_seconds()) as asked:
        _wait_for_workers(asked, execution, clock)
        _check_versions(asked.versions(), execution)
        backend = ClusterBackend(asked, execution.jobs)
        try:
            with parallel_config(backend=backend, n_jobs=-1):
                yield
        finally:
            backend.close()


def _connected(execution: ExecutionSection) -> AbstractContextManager[Cluster]:
    address, seconds = str(execution.address), execution.timeout.total_seconds()
    match execution.backend:
        case Backend.DASK:
            from tasks.execution import dask_cluster

            return dask_cluster.connected(address, seconds)
        case Backend.RAY:
            from tasks.execution import ray_cluster

            return ray_cluster.connected(address, seconds)
        case Backend.LOCAL:
            raise AssertionError("nothing is to be connected to")
        case _:
            assert_never(execution.backend)


def _wait_for_workers(cluster: Cluster, execution: ExecutionSection, clock: Clock) -> None:
    until = clock.monotonic() + execution.timeout.total_seconds()
    while cluster.cores() < 1:
        if clock.monotonic() >= until:
            raise PlatformUnreachable(
                f"the {execution.backend.value} cluster at {execution.address} has no workers after "
                f"{format_duration(execution.timeout)}: start some"
            )
        clock.sleep(_GLANCE)


def _check_versions(found: set[tuple[str, str]], execution: ExecutionSection) -> None:
    """Models of another scikit-learn may load and answer something else."""
    import sklearn

    here = (platform.python_version().rpartition(".")[0], sklearn.__version__)
    if strangers := sorted(found - {here}):
        told = "; ".join(f"Python {python} with scikit-learn {version}" for python, version in strangers)
        raise BadInput(
            f"workers at {execution.address} have {told}, here it is Python {here[0]} with scikit-learn {here[1]}: "
            "install the same on both sides"
        )
