"""What webhooks need beside the endpoint: the inbox, and the threads that start what was accepted."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from starlette.routing import BaseRoute

from deployments.errors import RegistryUnreachable
from deployments.local_platform.addresses import read_addresses
from deployments.metrics.feedback.rate_limit import Rates
from deployments.registry.mlflow_rest import MLflowRest
from deployments.settings import Settings
from deployments.web_login.password import USER, known_password
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
    reconciler = Reconciler(hooks, inbox, open_mlflow, clock, dispatcher.wake)
    commit = GroupCommit(inbox, dispatcher.wake)
    served = endpoint.routes(hooks, commit, Rates(settings.webhook_rate, clock), clock)
    return Room(served, dispatcher, reconciler)


def routes(context: Context) -> list[BaseRoute]:
    """The routes of a service that runs: also starts the threads, which end with the process."""
    made = room(context, lambda: mlflow_of(context.settings))

    def reconcile() -> None:
        complaints = Complaints()
        while True:
            with complaints.about("MLflow's registry is not compared with what it delivered"):
                made.reconciler.look()
            context.clock.sleep(EVERY)

    for name, work in (("webhooks", made.dispatcher.run_for_ever), ("reconciler", reconcile)):
        threading.Thread(target=work, name=name, daemon=True).start()
    return made.routes


def mlflow_of(settings: Settings) -> MLflowRest:
    """The platform's MLflow server, or the one that SEATRIAL_TRACKING_URI names, by the account of the environment."""
    if not settings.has_own_mlflow:
        user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        return MLflowRest(settings.mlflow_uri, (user, password) if user else None)
    address = read_addresses(settings).url("mlflow")
    if address is None:
        raise RegistryUnreachable("MLflow was not started: `seatrial up` starts it")
    return MLflowRest(address, (USER, known_password(settings.keys_folder)))
