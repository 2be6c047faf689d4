"""Environment of every process that speaks to Prefect or MLflow: where they are, no telemetry, no hidden servers."""

import json

from deployments.local_platform.addresses import Addresses
from deployments.settings import Settings
from deployments.web_login.password import credentials, drawn_password


def environment(settings: Settings, addresses: Addresses) -> dict[str, str]:
    """Variables for the platform's processes, none of them secret.

    Without a Prefect server among `addresses` whoever runs a flow starts one first: Prefect would hide one of its own
    in the process group of the command, to be ended together with it.
    """
    home = settings.home.resolve()
    variables = {
        **_given(settings),
        "SEATRIAL_HOME": str(home),
        "SEATRIAL_PROJECT": str(settings.project.resolve()),
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "seatrial",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # In memory, Prefect's default, a slot whose holder dies with the server is never free again.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # v2 asks a remote host for its configuration
        "PREFECT_UI_API_URL": "/api",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    server = addresses.url("prefect")
    return variables if server is None else variables | {"PREFECT_API_URL": f"{server}/api"}


def environment_with_password(settings: Settings, addresses: Addresses) -> dict[str, str]:
    """Of a process that speaks to this platform's Prefect: it shows that server the password, and no other one."""
    known = environment(settings, addresses)
    return known if addresses.prefect is None else known | password_of_prefect(settings)


def password_of_prefect(settings: Settings) -> dict[str, str]:
    """For the environment of a process, which no other account reads; never for a file or a command line."""
    return {"PREFECT_API_AUTH_STRING": credentials(drawn_password(settings.keys_folder))}


def _given(settings: Settings) -> dict[str, str]:
    """Settings that differ from their defaults: the worker must not depend on who started supervisord first."""
    values = settings.model_dump(mode="json", include=set(settings.model_fields_set))
    return {
        f"SEATRIAL_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
