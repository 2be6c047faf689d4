"""Every operation of the API: the table that routes, description and page are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from deployments.access_control.roles import Permission
from deployments.rollout.operator_commands import Verb
from deployments.spec import Strategy
from flows.entrypoints.control_service.api.bodies import OrderBody, ReleaseBody, RetryBody, RollbackBody
from flows.entrypoints.control_service.api.paging import PARAMETERS as OF_PAGES

ROOT: Final = "/seatrial/api/v1"
# What an approver's order leaves out of the evidence, and what stops or goes on without it.
VERBS: Final = {
    Verb.PROMOTE: (Permission.APPROVE, "Give the candidate all traffic now; the bake is still watched"),
    Verb.SKIP: (Permission.APPROVE, "End the present observation or question, and go on with the next step"),
    Verb.APPROVE: (Permission.APPROVE, "Say yes to the question that the rollout asks"),
    Verb.PAUSE: (Permission.ORDER, "Let weights stand as they are; harm still rolls back"),
    Verb.RESUME: (Permission.ORDER, "Go on after a pause, at the step where it was"),
    Verb.ABORT: (Permission.ORDER, "Give the champion everything back"),
}
_OF_PLAN: Final = (
    {
        "name": "strategy",
        "in": "query",
        "description": "instead of the spec's rollout.strategy",
        "schema": {"type": "string", "enum": [each.value for each in Strategy]},
    },
    {
        "name": "rate",
        "in": "query",
        "description": "requests per second to reckon with; measured for a moment if it is left out",
        "schema": {"type": "number", "minimum": 0, "maximum": 1_000_000},
    },
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One of them. `command` is what does the same at the command line, empty where nothing does.

    `path` is below the root, with `{product}` and `{rollout}` in it. `body` None: nothing is sent. `query` are its
    parameters as OpenAPI has them; `answers` names the schema of its answer, or of an item where it is a page.
    """

    id: str
    method: str
    path: str
    permission: Permission
    summary: str
    command: str
    answers: str
    status: int = 200
    body: type[BaseModel] | None = None
    query: tuple[Mapping[str, Any], ...] = ()

    @property
    def product(self) -> str | None:
        """The name of the path's part that is a product; None if it has none."""
        return "product" if "{product}" in self.path else None

    @property
    def pages(self) -> bool:
        """Whether the answer is one page of a list."""
        return self.query is OF_PAGES


def _look(name: str, path: str, summary: str, command: str, answers: str, *, pages: bool = False) -> Operation:
    query = OF_PAGES if pages else ()
    return Operation(name, "GET", path, Permission.VIEW, summary, command, answers, query=query)


def _start(name: str, path: str, summary: str, body: type[BaseModel]) -> Operation:
    path = f"/products/{{product}}/{path}"
    return Operation(name, "POST", path, Permission.ORDER, summary, name, "Run", 202, body)


def _order(verb: Verb, permission: Permission, summary: str) -> Operation:
    path = f"/products/{{product}}/orders/{verb}"
    return Operation(verb.value, "POST", path, permission, summary, verb.value, "Given", 202, OrderBody)


_ONE: Final = "/products/{product}"
_ROLLOUT: Final = f"{_ONE}/rollouts/{{rollout}}"
OPERATIONS: Final = (
    _look("caller", "/caller", "Who asks, and what he may", "", "Caller"),
    _look("status", "/status", "The parts of the platform, and the rollouts under way", "status", "Status"),
    _look(
        "products", "/products", "All products: champion, challenger, shares, health", "products", "Product", pages=True
    ),
    _look("product", _ONE, "One product, with its newest rollout", "status", "Product"),
    Operation(
        "plan",
        "GET",
        f"{_ONE}/plan",
        Permission.VIEW,
        "What a release would do now: its steps, how long, and what they wait for; nothing is moved",
        "plan",
        "Plan",
        query=_OF_PLAN,
    ),
    _look("rollouts", f"{_ONE}/rollouts", "The rollouts of a product, newest first", "history", "Rollout", pages=True),
    _look(
        "rollout",
        _ROLLOUT,
        "One rollout: phase, plan, weights, orders, what it waits for, and what was counted look by look",
        "watch",
        "RolloutDetail",
    ),
    _look(
        "evidence",
        f"{_ROLLOUT}/evidence",
        "What the evidence says of the candidate after each look, and what it lacks yet",
        "explain",
        "Evidence",
    ),
    _look("forecast", f"{_ROLLOUT}/forecast", "What is ahead of a rollout at its present traffic", "watch", "Forecast"),
    _look(
        "replay",
        f"{_ROLLOUT}/replay",
        "Every recorded verdict beside the one that its counts give now",
        "replay",
        "Replay",
    ),
    _look("history", f"{_ONE}/history", "What happened to a product, newest first", "history", "Event", pages=True),
    _look("events", "/history", "What happened to all products, newest first", "history", "Event", pages=True),
    _look("under_way", "/rollouts", "The rollouts under way, oldest first", "status", "Rollout", pages=True),
    _look("schedules", "/schedules", "What comes next for every product, by Prefect's plan", "schedules", "Schedules"),
    _look("webhooks", "/webhooks", "The webhooks that there are, by path", "webhook list", "Webhook", pages=True),
    _look("deliveries", "/deliveries", "What came by webhooks, newest first", "webhook list", "Delivery", pages=True),
    _start("release", "releases", "Train on the newest window, and roll out what is good enough", ReleaseBody),
    _start("retry", "retries", "Roll out a registered version again, without training", RetryBody),
    _start("rollback", "rollbacks", "Bring a former version back to all traffic", RollbackBody),
    *(_order(verb, permission, summary) for verb, (permission, summary) in VERBS.items()),
)
