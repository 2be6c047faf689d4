"""A thin client of Prefect's REST API, for processes that are too small to import Prefect."""

import os
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
_PAGE: Final = 200
# How the tag of a run begins that says who asked for it.
ASKED_BY: Final = "by:"
Document = dict[str, Any]


def release_deployment(product: str) -> str:
    """The deployment that releases a product, as `flow/name`."""
    return f"release/{product}"


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A flow run as Prefect has it: its id and its name."""

    id: UUID
    name: str


class PrefectApi:
    """The API at `address`, such as `http://127.0.0.1:4200/api`; `login` is user and password, None where it asks none.

    `key` is that of a Prefect Cloud or another server that takes one.

    Every method raises `PlatformUnreachable` where Prefect does not answer, or answers that it cannot now (a status
    of 500 or more, 408, 429): the same may succeed later. To be used as a context, and by several threads.
    """

    def __init__(
        self,
        address: str,
        login: tuple[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        key: str | None = None,
    ) -> None:
        self._address = address
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(
            base_url=address, auth=login, timeout=_SECONDS, trust_env=False, transport=transport, headers=headers
        )

    @classmethod
    def of_environment(cls, transport: httpx.BaseTransport | None = None) -> Self:
        """By PREFECT_API_URL, with PREFECT_API_AUTH_STRING or PREFECT_API_KEY. Raises `BadInput` where none is set."""
        address = os.environ.get("PREFECT_API_URL", "")
        if not address:
            raise BadInput("PREFECT_API_URL is not set: set it to Prefect's API, such as http://prefect:4200/api")
        user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
        login = (user, password) if user else None
        key = None if login else os.environ.get("PREFECT_API_KEY")
        return cls(address.rstrip("/"), login, transport, key)

    @property
    def address(self) -> str:
        """Where it is."""
        return self._address

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
        self,
        deployment: str,
        parameters: Mapping[str, Any],
        idempotency_key: str,
        tags: Iterable[str] = (),
        by: str = "",
    ) -> StartedRun:
        """A run of `deployment` (`flow/name`), to be started now by a worker; it is the same one for the same key.

        `by` is who asks, for the history; empty: nobody that has a name.

        Raises `NotFound` where there is no such deployment, `BadInput` for parameters that it does not take.
        """
        found = self._deployment(deployment)
        if found.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"Prefect has no deployment {deployment!r}")
        run = self._asked(
            "POST",
            f"/deployments/{_told(found, deployment)['id']}/create_flow_run",
            {
                "parameters": dict(parameters),
                "idempotency_key": idempotency_key,
                "tags": sorted({*tags, *([f"{ASKED_BY}{by}"] if by else [])}),
            },
        )
        started = _told(run, deployment)
        return StartedRun(UUID(started["id"]), str(started["name"]))

    def pending(self, tag: str) -> Mapping[str, datetime]:
        """Runs with this tag that a worker took and has not begun, by id, and since when; 200 at most."""
        wanted = {"tags": {"all_": [tag]}, "state": {"type": {"any_": ["PENDING"]}}}
        found = _told(self._asked("POST", "/flow_runs/filter", {"flow_runs": wanted, "limit": 200}), "its own runs")
        return {str(run["id"]): datetime.fromisoformat(run["state"]["timestamp"]) for run in found}

    def schedule_again(self, run: str) -> None:
        """Let a worker take a run that another one took and never began."""
        state = {"type": "SCHEDULED", "name": "Scheduled", "message": "the worker that took it is gone"}
        self._asked("POST", f"/flow_runs/{quote(run, safe='')}/set_state", {"state": state})

    def deployments(self, tag: str, pool: str | None = None) -> tuple[Document, ...]:
        """All deployments with a tag, by name; those of one work pool unless `pool` is None.

        Each is as Prefect's API gives it, with `flow`, the name of its flow.
        """
        wanted: Document = {"deployments": {"tags": {"all_": [tag]}}, "sort": "NAME_ASC"}
        if pool is not None:
            wanted["work_pools"] = {"name": {"any_": [pool]}}
        found = self._all("/deployments/filter", wanted)
        ids = sorted({each["flow_id"] for each in found})
        flows = self._all("/flows/filter", {"flows": {"id": {"any_": ids}}}) if ids else []
        names = {each["id"]: each["name"] for each in flows}
        return tuple(each | {"flow": names.get(each["flow_id"], "")} for each in found)

    def has_deployment(self, deployment: str) -> bool:
        """Whether there is one, whoever made it; by `flow/name`."""
        found = self._deployment(deployment)
        if found.status_code == httpx.codes.NOT_FOUND:
            return False
        _check(found, deployment)
        return True

    def create_deployment(self, flow: str, name: str, fields: Mapping[str, Any]) -> str:
        """The id of a new deployment, or of the one of that name, which is replaced. Raises `BadInput`."""
        about = f"deployment {flow}/{name}"
        made = _told(self._asked("POST", "/flows/", {"name": flow}), f"flow {flow}")
        body = {"name": name, "flow_id": made["id"], **fields}
        return str(_told(self._asked("POST", "/deployments/", body), about)["id"])

    def update_deployment(self, deployment_id: str, fields: Mapping[str, Any]) -> None:
        """Change these fields of a deployment alone; runs that lie ahead are planned anew. Raises `BadInput`."""
        _check(self._asked("PATCH", f"/deployments/{deployment_id}", dict(fields)), "the change of a deployment")

    def replace_schedules(self, deployment: Mapping[str, Any], schedules: Iterable[Mapping[str, Any]]) -> None:
        """Give a deployment, as `deployments` has it, these schedules instead of its own. Raises `BadInput`."""
        place = f"/deployments/{deployment['id']}/schedules"
        for old in deployment["schedules"]:
            _check(self._asked("DELETE", f"{place}/{old['id']}"), "the end of a schedule")
        if wanted := [dict(each) for each in schedules]:
            _check(self._asked("POST", place, wanted), "a schedule")

    def delete_deployment(self, deployment_id: str) -> None:
        """Take it away, and its runs that lie ahead; one that is gone already is no mistake."""
        gone = self._asked("DELETE", f"/deployments/{deployment_id}")
        if gone.status_code != httpx.codes.NOT_FOUND:
            _check(gone, "the end of a deployment")

    def set_limit(self, name: str, limit: int) -> None:
        """A global concurrency limit of that name and size, made or changed."""
        found = self._asked("GET", f"/v2/concurrency_limits/{quote(name, safe='')}")
        if found.status_code == httpx.codes.NOT_FOUND:
            made = self._asked("POST", "/v2/concurrency_limits/", {"name": name, "limit": limit})
            if made.status_code != httpx.codes.CONFLICT:
                _check(made, f"the limit {name}")
                return
            found = self._asked("GET", f"/v2/concurrency_limits/{quote(name, safe='')}")
        if _told(found, f"the limit {name}")["limit"] != limit:
            _check(self._asked("PATCH", f"/v2/concurrency_limits/{quote(name, safe='')}", {"limit": limit}), name)

    def limit(self, name: str) -> int | None:
        """The size of a global concurrency limit; None where there is none of that name."""
        found = self._asked("GET", f"/v2/concurrency_limits/{quote(name, safe='')}")
        return None if found.status_code == httpx.codes.NOT_FOUND else int(_told(found, name)["limit"])

    def automations(self) -> tuple[Document, ...]:
        """All automations, by name, whoever made them, as Prefect's API gives them."""
        return tuple(self._all("/automations/filter", {"sort": "NAME_ASC"}))

    def put_automation(self, fields: Mapping[str, Any], automation_id: str | None) -> None:
        """Make an automation of these fields, or of the one with that id. Raises `BadInput`."""
        method, path = ("POST", "/automations/") if automation_id is None else ("PUT", f"/automations/{automation_id}")
        _check(self._asked(method, path, dict(fields)), f"automation {fields.get('name')}")

    def delete_automation(self, automation_id: str) -> None:
        """Take it away; one that is gone already is no mistake."""
        gone = self._asked("DELETE", f"/automations/{automation_id}")
        if gone.status_code != httpx.codes.NOT_FOUND:
            _check(gone, "the end of an automation")

    def deployment_id(self, deployment: str) -> str | None:
        """By `flow/name`; None where there is none."""
        found = self._deployment(deployment)
        return None if found.status_code == httpx.codes.NOT_FOUND else str(_told(found, deployment)["id"])

    def free_slots_without_run(self, name: str, flow: str) -> None:
        """Nobody holds a slot of a limit while no run of `flow` is under way: what a server forgot is free again.

        A slot's lease may be lost with the server that knew of it, and then it would be taken for ever.
        """
        running = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        if _told(self._asked("POST", "/flow_runs/count", running), "a question for runs"):
            return
        limit = f"/v2/concurrency_limits/{quote(name, safe='')}"
        if _told(self._asked("GET", limit), name)["active_slots"]:
            _check(self._asked("PATCH", limit, {"active_slots": 0}), f"the limit {name}")

    def runs(self, deployment_id: str, state_types: Iterable[str], *, newest: bool, limit: int) -> tuple[Document, ...]:
        """Runs of a deployment in these types of states, such as SCHEDULED, by their expected start; `newest` first."""
        wanted = {
            "flow_runs": {"deployment_id": {"any_": [deployment_id]}, "state": {"type": {"any_": sorted(state_types)}}},
            "sort": "EXPECTED_START_TIME_DESC" if newest else "EXPECTED_START_TIME_ASC",
            "limit": min(limit, _PAGE),
        }
        return tuple(_told(self._asked("POST", "/flow_runs/filter", wanted), "a question for runs"))

    def end_run(self, run_id: str, name: str, message: str) -> None:
        """Give a run that has not begun a final state of type CANCELLED, with a name and a message of our own."""
        state = {"type": "CANCELLED", "name": name, "message": message}
        _check(
            self._asked("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True}), "the end of a run"
        )

    def emit(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Events as Prefect's API takes them; one with an id that it knows is no second one. Raises `BadInput`."""
        _check(self._asked("POST", "/events", [dict(each) for each in events]), "an event")

    def _deployment(self, address: str) -> httpx.Response:
        flow, _, name = address.partition("/")
        return self._asked("GET", f"/deployments/name/{quote(flow, safe='')}/{quote(name, safe='')}")

    def _all(self, path: str, wanted: Mapping[str, Any]) -> list[Document]:
        found: list[Document] = []
        while True:
            page = self._asked("POST", path, {**wanted, "limit": _PAGE, "offset": len(found)})
            more = _told(page, path)
            found += more
            if len(more) < _PAGE:
                return found

    def _asked(self, method: str, path: str, content: object = None) -> httpx.Response:
        try:
            response = self._client.request(method, path, json=content)
        except httpx.HTTPError as error:
            raise PlatformUnreachable(f"Prefect at {self._address} does not answer ({type(error).__name__})") from None
        if response.is_server_error or response.status_code in {408, 429}:
            raise PlatformUnreachable(f"Prefect at {self._address} cannot now: HTTP {response.status_code}")
        return response


def _told(response: httpx.Response, about: str) -> Any:
    _check(response, about)
    return response.json()


def _check(response: httpx.Response, about: str) -> None:
    if response.is_success:
        return
    if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise BadInput(
            f"Prefect does not let us in (HTTP {response.status_code}): set PREFECT_API_AUTH_STRING to USER:PASSWORD, "
            "or PREFECT_API_KEY"
        )
    raise BadInput(f"Prefect refuses {about}: HTTP {response.status_code} {response.text[:_SHOWN]}")
