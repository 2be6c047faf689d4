"""Starting a flow: in this process, or through the platform's worker."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from deployments.errors import NotFound
from tasks.allowed_spec_paths import any_file

Result = TypeVar("Result")


def run_here(flow: Callable[[Any], Result], request: BaseModel) -> Result:
    """Run a flow in this process, for a person at its command line; what it raised on purpose comes out as it is.

    Prefect keeps the log of the run; on the terminal only Seatrial's own progress appears.
    """
    _silence_prefects_console()
    with any_file():
        return flow(request)


def run_detached(deployment: str, request: BaseModel) -> dict[str, str]:
    """Hand a run to the platform's worker; returns its name, id and page. Needs PREFECT_API_URL.

    Raises `NotFound` where Prefect does not know the deployment.
    """
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import get_current_settings

    parameters = {"request": request.model_dump(mode="json", exclude_none=True)}
    try:
        run: Any = run_deployment(deployment, parameters=parameters, timeout=0)
    except ObjectNotFound:
        raise NotFound(
            f"Prefect does not know {deployment!r} yet: `seatrial deploy` tells it of all products"
        ) from None
    pages = str(get_current_settings().api.url).removesuffix("/api")
    return {"id": str(run.id), "name": str(run.name), "page": f"{pages}/runs/flow-run/{run.id}"}


def _silence_prefects_console() -> None:
    """Take the handlers that print off Prefect's loggers; those that send to the server stay."""
    from prefect.logging.handlers import PrefectConsoleHandler

    named = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    for logger in (logging.root, *named):
        for handler in [handler for handler in logger.handlers if isinstance(handler, PrefectConsoleHandler)]:
            logger.removeHandler(handler)
        if logger.name in {"prefect.flow_runs", "prefect.task_runs"}:
            logger.propagate = False
