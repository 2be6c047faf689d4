"""A thin client of Prefect's REST API, for processes that are too small to import Prefect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote
from uuid import UUID

import httpx

from deployments.errors import BadInput, NotFound, PlatformUnreachable

_SECONDS: Final = 10.0
_SHOWN: Final = 300


def release_deployment(product: str) -> str:
    """The deployment that releases a product, as `flow/name`."""
    return f"release/{product}"


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A flow run as Prefect has it: its id and its name."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """When runs of a deployment begin by themselves: `when` as cron or in seconds, and whether it is on."""

    when: str
    timezone: str
    active: bool


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment of a flow: what runs, which version of it was deployed, and when it begins by itself."""

    id: UUID
    name: str
    entrypoint: str
    version: str
    schedules: tuple[Schedule, ...]


class PrefectApi:
    """The API at `address`, such as `http://127.0.0.1:4200/api`; `login` is user and password, None where it asks none.

    Every method raises `PlatformUnreachable` where Prefect does not answer, or answers that it cannot now (a status
    of 500 or more, 408, 429): the same may succeed later. To be used as a context, and by several threads.
    """

    def __init__(
        self, address: str, login: tuple[str, str] | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._address = address
        self._client = httpx.Client(
            base_url=address, auth=login, timeout=_SECONDS, trust_env=False, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def start_run(
        self, deployment: str, parameters: Mapping[str, Any], idempotency_key: str, tags: Iterable[str] = ()
    ) -> StartedRun:
        """A run of `deployment` (`flow/name`), to be started now by a worker; it is the same one for the same key.

        Raises `NotFound` where there is no such deployment, `BadInput` for parameters that it does not take.
        """
        flow, _, name = deployment.partition("/")
        found = self._asked("GET", f"/deployments/name/{quote(flow, safe='')}/{quote(name, safe='')}")
        if found.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"Prefect has no deployment {deployment!r}")
        run = self._asked(
            "POST",
            f"/deployments/{_told(found, deployment)['id']}/create_flow_run",
            {"parameters": dict(parameters), "idempotency_key": idempotency_key, "tags": sorted(tags)},
        )
        started = _told(run, deployment)
        return StartedRun(UUID(started["id"]), str(started["name"]))

    def deployments(self, tag: str) -> tuple[Deployment, ...]:
        """Those with this tag, by name; 200 at most."""
        wanted = {"deployments": {"tags": {"all_": [tag]}}, "sort": "NAME_ASC", "limit": 200}
        found = _told(self._asked("POST", "/deployments/filter", wanted), "its own deployments")
        return tuple(
            Deployment(
                UUID(each["id"]),
                each["name"],
                each["entrypoint"] or "",
                each["version"] or "",
                tuple(map(_schedule, each["schedules"])),
            )
            for each in found
        )

    def delete_deployment(self, deployment: UUID) -> None:
        """Take it away, with what it has scheduled; nothing happens where it is gone."""
        gone = self._asked("DELETE", f"/deployments/{deployment}")
        if gone.status_code != httpx.codes.NOT_FOUND and not gone.is_success:
            raise BadInput(f"Prefect does not delete a deployment: HTTP {gone.status_code}")

    def scheduled(self, deployment: UUID, limit: int = 3) -> tuple[datetime, ...]:
        """When its next runs are to begin, the next one first. Prefect makes them a while ahead, not all at once."""
        wanted = {
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "deployments": {"id": {"any_": [str(deployment)]}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": limit,
        }
        found = _told(self._asked("POST", "/flow_runs/filter", wanted), "its own runs")
        return tuple(datetime.fromisoformat(run["expected_start_time"]) for run in found)

    def pending(self, tag: str) -> Mapping[str, datetime]:
        """Runs with this tag that a worker took and has not begun, by id, and since when; 200 at most."""
        wanted = {"tags": {"all_": [tag]}, "state": {"type": {"any_": ["PENDING"]}}}
        found = _told(self._asked("POST", "/flow_runs/filter", {"flow_runs": wanted, "limit": 200}), "its own runs")
        return {str(run["id"]): datetime.fromisoformat(run["state"]["timestamp"]) for run in found}

    def schedule_again(self, run: str) -> None:
        """Let a worker take a run that another one took and never began."""
        state = {"type": "SCHEDULED", "name": "Scheduled", "message": "the worker that took it is gone"}
        self._asked("POST", f"/flow_runs/{quote(run, safe='')}/set_state", {"state": state})

    def _asked(self, method: str, path: str, content: object = None) -> httpx.Response:
        try:
            response = self._client.request(method, path, json=content)
        except httpx.HTTPError as error:
            raise PlatformUnreachable(f"Prefect at {self._address} does not answer ({type(error).__name__})") from None
        if response.is_server_error or response.status_code in {408, 429}:
            raise PlatformUnreachable(f"Prefect at {self._address} cannot now: HTTP {response.status_code}")
        return response


def _told(response: httpx.Response, about: str) -> Any:
    if response.is_success:
        return response.json()
    raise BadInput(f"Prefect refuses {about}: HTTP {response.status_code} {response.text[:_SHOWN]}")


def _schedule(told: dict[str, Any]) -> Schedule:
    rule = told["schedule"]
    when = rule.get("cron") or rule.get("rrule") or f"every {rule.get('interval', 0):g} s"
    return Schedule(str(when), str(rule.get("timezone") or "UTC"), bool(told["active"]))
