"""Where to look further: pages of Prefect, MLflow and the model server, each None where nobody knows its address."""

import os
from typing import Any
from urllib.parse import quote

from deployments.local_platform.addresses import read_addresses
from deployments.redaction import masked
from deployments.rollout.state import RolloutState
from deployments.settings import Settings


def links_of(state: RolloutState, settings: Settings) -> dict[str, Any]:
    """By what they lead to: `run` in Prefect, `version` in MLflow, `docs` of the model that serves, `api` of it."""
    known = read_addresses(settings)
    mlflow = known.url("mlflow") if settings.has_own_mlflow else masked(settings.mlflow_uri)
    gateway, product = known.url("gateway"), quote(state.product, safe="")
    return {
        "run": run_page(state.rollout_id, settings),
        "version": f"{mlflow}/#/models/{product}/versions/{state.candidate}" if mlflow else None,
        "docs": f"{gateway}/{product}/docs" if gateway else None,
        "api": f"{gateway}/v2/models/{product}" if gateway else None,
    }


def run_page(run: str, settings: Settings) -> str | None:
    """The page of a run at the Prefect of PREFECT_API_URL, else of this platform; None where there is none."""
    told = os.environ.get("PREFECT_API_URL", "").removesuffix("/").removesuffix("/api")
    prefect = masked(told) if told else read_addresses(settings).url("prefect")
    return f"{prefect}/runs/flow-run/{quote(run, safe='')}" if prefect else None
