"""The work pool of this machine: what a run that was asked of Prefect may vary, and what it may not.

A run brings values of its own (`job_variables`). What is started, as whom, where and with which environment stands here
and not in a run, for whoever could name a command would have a shell.
"""

from typing import Any, Final

import httpx

from deployments.errors import PlatformUnreachable
from deployments.settings import Settings
from deployments.web_login.password import USER, drawn_password

WORK_POOL = "seatrial"
_SECONDS = 30
# Only what has a placeholder in `job_configuration` can come from a run; `env` would be merged if it stood there.
TEMPLATE: Final[dict[str, Any]] = {
    "job_configuration": {"stream_output": "{{ stream_output }}"},
    "variables": {
        "type": "object",
        "description": "A run is a process of this machine, started by the worker as Seatrial starts it.",
        "properties": {
            "stream_output": {
                "type": "boolean",
                "title": "Copy the output into the worker's log",
                "default": False,
            }
        },
        "additionalProperties": False,
    },
}


def ensure_work_pool(settings: Settings, api: str) -> None:
    """The pool as it is meant, in the Prefect at `api`: made, or put right if it is an older one or was changed.

    Before the worker comes to it: deploying need not wait for the worker. Raises `PlatformUnreachable`.
    """
    login = (USER, drawn_password(settings.keys_folder))
    try:
        with httpx.Client(base_url=api, auth=login, timeout=_SECONDS, trust_env=False) as client:
            _see_to(client)
    except httpx.HTTPError as error:
        raise PlatformUnreachable(f"the work pool {WORK_POOL!r} cannot be made: {error}") from None


def _see_to(client: httpx.Client) -> None:
    found = client.get(f"/work_pools/{WORK_POOL}")
    if found.status_code == httpx.codes.NOT_FOUND:
        wanted = {"name": WORK_POOL, "type": "process", "base_job_template": TEMPLATE}
        made = client.post("/work_pools/", json=wanted)
        if made.status_code != httpx.codes.CONFLICT:  # another process was quicker
            made.raise_for_status()
            return
        found = client.get(f"/work_pools/{WORK_POOL}")
    if found.raise_for_status().json()["base_job_template"] != TEMPLATE:
        client.patch(f"/work_pools/{WORK_POOL}", json={"base_job_template": TEMPLATE}).raise_for_status()
