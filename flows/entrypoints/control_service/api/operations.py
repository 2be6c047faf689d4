"""Every operation of the API: the table that routes, description and page are made from."""

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from deployments.access_control.roles import Permission
from deployments.rollout.operator_commands import Verb
from flows.entrypoints.control_service.api.bodies import OrderBody, ReleaseBody, RetryBody, RollbackBody

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


@dataclass(frozen=True, slots=True)
class Operation:
    """One of them. `command` is what does the same at the command line.

    `path` is below the root, with `{product}` and `{rollout}` in it. `body` None: nothing is sent. `pages`: whether the
    answer is one page of a list.
    """

    id: str
    method: str
    path: str
    permission: Permission
    summary: str
    command: str
    status: int = 200
    body: type[BaseModel] | None = None
    pages: bool = False

    @property
    def product(self) -> str | None:
        """The name of the path's part that is a product; None if it has none."""
        return "product" if "{product}" in self.path else None


def _look(name: str, path: str, summary: str, command: str, *, pages: bool = False) -> Operation:
    return Operation(name, "GET", path, Permission.VIEW, summary, command, pages=pages)


def _start(name: str, path: str, summary: str, body: type[BaseModel]) -> Operation:
    return Operation(name, "POST", f"/products/{{product}}/{path}", Permission.ORDER, summary, name, 202, body)


OPERATIONS: Final = (
    _look("products", "/products", "All products: champion, challenger, shares, health", "status", pages=True),
    _look("product", "/products/{product}", "One product, with its newest rollout", "status"),
    _look("rollouts", "/products/{product}/rollouts", "The rollouts of a product, newest first", "history", pages=True),
    _look(
        "rollout",
        "/products/{product}/rollouts/{rollout}",
        "One rollout: phase, plan, what it waits for, and what was counted look by look",
        "watch",
    ),
    _look(
        "evidence",
        "/products/{product}/rollouts/{rollout}/evidence",
        "What the evidence says of the candidate, and what is still needed",
        "explain",
    ),
    _look(
        "replay",
        "/products/{product}/rollouts/{rollout}/replay",
        "Every recorded verdict beside the one that its counts give now",
        "replay",
    ),
    _look("history", "/products/{product}/history", "What happened to a product, newest first", "history", pages=True),
    _look("under_way", "/rollouts", "The rollouts under way, oldest first", "status", pages=True),
    _look("schedules", "/schedules", "What comes next for every product, as Prefect has planned it", "schedules"),
    _start("release", "releases", "Train on the newest window, and roll out what is good enough", ReleaseBody),
    _start("retry", "retries", "Roll out a registered version again, without training", RetryBody),
    _start("rollback", "rollbacks", "Bring a former version back to all traffic", RollbackBody),
    *(
        Operation(
            verb.value,
            "POST",
            f"/products/{{product}}/orders/{verb}",
            permission,
            summary,
            verb.value,
            202,
            OrderBody,
        )
        for verb, (permission, summary) in VERBS.items()
    ),
)
