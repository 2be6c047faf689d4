"""What webhooks need beside the endpoint: the inbox, and the threads that start what was accepted."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from starlette.routing import BaseRoute

from deployments.local_platform.addresses import read_addresses
from deployments.local_platform.mlflow_address import mlflow_rest
from deployments.metrics.feedback.rate_limit import Rates
from deployments.registry.mlflow_rest import MLflowRest
from deployments.webhooks.dispatcher import Dispatcher, Openers
from deployments.webhooks.group_commit import GroupCommit
from deployments.webhooks.hooks import Hooks
from deployments.webhooks.inbox import Inbox
from deployments.webhooks.reconciler import EVERY, Reconciler
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.webhooks import endpoint
from flows.entrypoints.program_log import Complaints, say


@dataclass(frozen=True, slots=True)
class Room:
    """Webhooks of a platform, put together: nothing runs and nothing is opened yet."""

    routes: list[BaseRoute]
    dispatcher: Dispatcher
    reconciler: Reconciler


def room(context: Context, open_mlflow: Callable[[], MLflowRest]) -> Room:
    """The routes, and what starts and finds deliveries beside them."""
    settings, clock = context.settings, context.clock

    @cache
    def inbox() -> Inbox:
        return Inbox(settings.feedback_database)

    hooks = Hooks(settings.keys_folder)
    dispatcher = Dispatcher(Openers(inbox, context.open_journal, context.open_prefect), clock, say)
    reconciler = Reconciler(
        hooks, inbox, open_mlflow, clock, dispatcher.wake, lambda: read_addresses(settings).gateway_from_here
    )
    commit = GroupCommit(inbox, dispatcher.wake)
    served = endpoint.routes(hooks, commit, Rates(settings.webhook_rate, clock), clock)
    return Room(served, dispatcher, reconciler)


def routes(context: Context) -> list[BaseRoute]:
    """The routes of a service that runs: also starts the threads, which end with the process."""
    made = room(context, lambda: mlflow_rest(context.settings))

    def reconcile() -> None:
        complaints = Complaints()
        while True:
            with complaints.about("MLflow's registry is not compared with what it delivered"):
                made.reconciler.look()
            context.clock.sleep(EVERY)

    for name, work in (("webhooks", made.dispatcher.run_for_ever), ("reconciler", reconcile)):
        threading.Thread(target=work, name=name, daemon=True).start()
    return made.routes
