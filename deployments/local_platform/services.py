"""The programs of the platform, as supervisord is told of them."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from deployments.local_platform.addresses import Addresses
from deployments.local_platform.environment import environment
from deployments.local_platform.work_pool import WORK_POOL
from deployments.settings import Settings
from deployments.supervision import Program
from deployments.targets.process import FORK_SERVER

GATEWAY = "gateway"
PREFECT = "prefect-server"
WORKER = "prefect-worker"
MLFLOW = "mlflow-server"
WARM = "warm"
CONTROL = "control"
# MLflow sends its webhooks to no http and to no address of this machine, unless these say so. Whoever can make one
# there has the password with which he can run code, too.
_WEBHOOKS_TO_THE_GATEWAY = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "5",
}
PARTS = (GATEWAY, PREFECT, WORKER, MLFLOW, WARM, CONTROL, FORK_SERVER)


def gateway(settings: Settings, command: tuple[str, ...]) -> Program:
    """The Envoy that splits all live traffic."""
    return Program(GATEWAY, command, directory=settings.home.resolve(), log=settings.logs / f"{GATEWAY}.log")


def prefect_server(settings: Settings, addresses: Addresses) -> Program:
    """Prefect's API, scheduler and pages."""
    return _python(
        PREFECT, settings, addresses, "flows.entrypoints.runner.prefect_server", "--port", str(addresses.prefect)
    )


def prefect_worker(settings: Settings, addresses: Addresses) -> Program:
    """Runs the flows that were started from the pages, by schedule or by webhook."""
    return _python(WORKER, settings, addresses, "flows.entrypoints.runner.prefect_worker", WORK_POOL)


def warm_process(settings: Settings, addresses: Addresses) -> Program:
    """Has imported everything, and forks for each release from the command line."""
    return _python(WARM, settings, addresses, "flows.entrypoints.runner.prefork", "flows.entrypoints.cli.main:run")


def control_service(settings: Settings, addresses: Addresses) -> Program:
    """Takes the feedback that the gateway passes on; on a Unix socket, which a second copy takes over."""
    program = _python(CONTROL, settings, addresses, "flows.entrypoints.control_service.main")
    # Its threads would have a heap each, which costs more than it saves (mallopt(3)).
    small = {**program.environment, "MALLOC_ARENA_MAX": "2"}
    return replace(program, takes_over=control_socket(settings), environment=small)


def control_socket(settings: Settings) -> Path:
    """Where the control service listens."""
    return settings.run_folder / "control.sock"


def mlflow_server(settings: Settings, addresses: Addresses) -> Program:
    """MLflow's pages over the database that the flows write to themselves.

    The database's address may hold a password: it goes by the environment, for everybody can read a command line.
    """
    program = _python(
        MLFLOW,
        settings,
        addresses,
        "deployments.registry.mlflow_server",
        *("--port", str(addresses.mlflow)),
        *("--default-artifact-root", str(settings.home.resolve() / "mlflow" / "artifacts")),
    )
    told = {"MLFLOW_BACKEND_STORE_URI": settings.mlflow_uri, **_WEBHOOKS_TO_THE_GATEWAY}
    return replace(program, environment={**program.environment, **told})


def _python(name: str, settings: Settings, addresses: Addresses, *arguments: str) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-m", *arguments),
        environment=environment(settings, addresses),
        directory=settings.project.resolve(),
        log=settings.logs / f"{name}.log",
        stop_wait=timedelta(seconds=15),
    )
