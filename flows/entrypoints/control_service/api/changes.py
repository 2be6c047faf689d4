"""What the changing operations do: an order for whoever carries the rollout, or a run at Prefect."""

import threading
import uuid
from typing import Any, Final

from pydantic import BaseModel

from deployments.errors import BadInput, NotFound
from deployments.prefect_api import release_deployment
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import RolloutState
from flows.entrypoints.control_service.api.idempotency import Begun, Known
from flows.entrypoints.control_service.context import Context
from flows.reports.links import run_page
from flows.reports.products import specs_by_product
from tasks.rollout_engine.command_submission import give_order

_TAG: Final = "api"


class CannotNow(BadInput):
    """The order means nothing now, since the rollout is elsewhere: somebody else was first."""


class Changes:
    """Each is done once for a request that is asked again: `begun` says whether it may have been done; None: no key."""

    def __init__(self, context: Context) -> None:
        self._context = context
        # Of two opposite orders that come at once one is tried after the other is written down.
        self._turn = threading.Lock()

    def order(self, verb: Verb, product: str, body: BaseModel, who: str, begun: Begun | None) -> dict[str, Any]:
        """Write an order down. Raises `CannotNow`, and `NotFound` where no rollout is under way."""
        journal, reason = self._context.open_journal(), str(getattr(body, "reason", ""))
        with self._turn:
            if (known := self._given_before(verb, product, who, reason, begun)) is not None:
                return _given(*known)
            try:
                return _given(*give_order(product, verb, who, reason, journal, self._context.clock))
            except NotFound:
                raise
            except BadInput as error:
                raise CannotNow(str(error)) from None

    def run(self, flow: str, product: str, body: BaseModel, who: str, begun: Begun | None) -> dict[str, Any]:
        """Start a run of `release`, `retry` or `rollback`; Prefect knows a run that was started before by its key."""
        settings = self._context.settings
        spec = specs_by_product(settings.specs_folder).get(product)
        if spec is None:
            raise NotFound(f"{product} has no spec in {settings.specs_folder.name}/: write one, then `seatrial deploy`")
        request = {"product": spec.called, **body.model_dump(mode="json", exclude_none=True)}
        deployment = release_deployment(product) if flow == "release" else f"{flow}/{flow}"
        key = begun.mark if begun else uuid.uuid4().hex
        prefect = self._context.open_prefect()  # one client for the life of the process
        run = prefect.start_run(deployment, {"request": request}, f"api-{key}", (_TAG,), who)
        page = run_page(str(run.id), settings)
        return {"product": product, "run": str(run.id), "name": run.name, "deployment": deployment, "page": page}

    def _given_before(
        self, verb: Verb, product: str, who: str, reason: str, begun: Begun | None
    ) -> tuple[Order, RolloutState] | None:
        """What a process wrote down that died before it answered."""
        if begun is None or begun.known is not Known.AGAIN:
            return None
        journal = self._context.open_journal()
        for state in journal.rollouts(product):
            if state.live or state.updated_at >= begun.first:
                for order in journal.orders(state.rollout_id):
                    if (order.verb, order.who, order.reason) == (verb, who, reason) and order.at >= begun.first:
                        return order, state
        return None


def _given(order: Order, state: RolloutState) -> dict[str, Any]:
    return {
        "product": state.product,
        "rollout": state.rollout_id,
        "candidate": state.candidate,
        "order": order.number,
        "verb": order.verb.value,
    }
