"""An order before it is given, and what became of it afterwards."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from deployments.errors import BadInput, SeatrialError
from deployments.journals.protocol import Event, Journal
from deployments.plurals import counted
from deployments.prefect_api import release_deployment
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import RolloutState
from deployments.spec import Strategy
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.page import orders
from flows.entrypoints.control_service.page.live_look import LiveLook, ProductSeen
from flows.reports.products import specs_by_product
from tasks.rollout_engine.command_submission import give_order

LONGEST_REASON: Final = 500
_LONGEST_WINDOW: Final = 100
_LONGEST_KEY: Final = 64


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the form of an order says. `rollout` and `step` are what it was made for: the world may move on meanwhile.

    `once` is a key of this form, so that it starts one run however often it is sent.
    """

    product: str
    order: str
    label: str
    dangerous: bool
    told: list[str]
    possible: bool
    rollout: str
    step: str
    where: str
    once: str
    versions: list[int]
    strategies: list[str]

    @classmethod
    def of(cls, order: str, found: ProductSeen) -> "Confirmation":
        """Made for the product as it is now."""
        state, product = found.state, str(found.report["product"])
        versions = sorted({each.candidate for each in found.rollouts if not each.live}, reverse=True)
        return cls(
            product,
            order,
            orders.label_of(order),
            order in {Verb.ABORT, Verb.PROMOTE, orders.ROLLBACK},
            orders.consequences(order, found.report, state),
            orders.means_something(order, found.report, state),
            state.rollout_id if state else "",
            str(state.done) if state else "",
            f"v{state.candidate}, step {state.done + 1} of {len(state.steps)}" if state and state.live else "",
            secrets.token_hex(16),
            versions if order in {orders.RETRY, orders.ROLLBACK} else [],
            [each.value for each in Strategy] if order in {orders.RELEASE, orders.RETRY} else [],
        )

    def mistake(self, form: Mapping[str, str]) -> str:
        """What is wrong with a form that was sent; empty if nothing is."""
        reason = form.get("reason", "").strip()
        if not reason:
            return "Say why: the reason stands in the history for whoever asks later."
        if len(reason) > LONGEST_REASON:
            return f"The reason is too long: it may have {counted(LONGEST_REASON, 'sign')}."
        if self.order in orders.RUNS:
            return ""
        if (form.get("rollout"), form.get("step")) != (self.rollout, self.step):
            return (
                "The rollout has moved on since this form was opened. Nothing was ordered: read again what will happen."
            )
        return ""


@dataclass(frozen=True, slots=True)
class Given:
    """Who gives an order, and of what."""

    who: str
    context: Context
    found: ProductSeen


def give(confirmation: Confirmation, form: Mapping[str, str], given: Given) -> str:
    """Give the order; returns the query by which the product's page tells what became of it.

    Raises `NotFound`, `BadInput` or `Busy` where it cannot be given, and what journal and Prefect raise.
    """
    reason = form["reason"].strip()
    if confirmation.order in orders.RUNS:
        return urlencode({"run": _started(confirmation, form, given)})
    journal = given.context.open_journal()
    verb = Verb(confirmation.order)
    order, _ = give_order(confirmation.product, verb, given.who, reason, journal, given.context.clock)
    return urlencode({"order": order.number})


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an order: a sentence, its tone, and the Prefect run that it started, if any."""

    sentence: str
    tone: str
    run: str = ""


def told_of_order(
    look: LiveLook, open_journal: Callable[[], Journal], product: str, query: Mapping[str, str]
) -> Told | None:
    """What became of the order or the run that the query names; None for none that is known."""
    if run := query.get("run"):
        try:
            return Told("A run was started", "good", str(UUID(run)))
        except ValueError:
            return None
    number = query.get("order", "")
    if not number.isdecimal() or len(number) > 12:
        return None
    try:
        journal = open_journal()
        for state in journal.rollouts(product, 2):
            for order in journal.orders(state.rollout_id, int(number) - 1):
                if order.number == int(number):
                    return _became(order, state, journal)
    except SeatrialError:
        return None
    return None


def _became(order: Order, state: RolloutState, journal: Journal) -> Told:
    said = f"{orders.label_of(order.verb)} by {order.who}"
    for event in reversed(journal.events(state.product, 50)):
        mine = event.run == order.rollout_id and event.at >= order.at and event.detail.get("who") == order.who
        if mine and event.kind == "order.declined":
            return Told(f"{said}: declined, {event.detail.get('why', '')}", "bad")
        if mine and event.kind == f"order.{order.verb}":
            return Told(f"{said}: done", "good")
    if state.orders_done >= order.number or not state.live:
        return Told(f"{said}: the rollout had moved on", "hold")
    return Told(f"{said}: written down; whoever carries the rollout takes it within seconds", "busy")


def _started(confirmation: Confirmation, form: Mapping[str, str], given: Given) -> str:
    spec = specs_by_product(given.context.settings.specs_folder).get(confirmation.product)
    if spec is None:
        raise BadInput(f"there is no spec of {confirmation.product} here")
    name = confirmation.order
    request: dict[str, Any] = {"product": spec.called}
    request |= _version(form) if confirmation.versions else {}
    strategy = form.get("strategy", "")
    if strategy and confirmation.strategies:
        if strategy not in confirmation.strategies:
            raise BadInput(f"there is no strategy {strategy[:40]!r}: {', '.join(confirmation.strategies)} are known")
        request["strategy"] = strategy
    window = form.get("window", "").strip()
    if name == orders.RELEASE and window:
        request["window"] = window[:_LONGEST_WINDOW]
    key = f"page-{form.get('once', '')[:_LONGEST_KEY]}"
    deployment = release_deployment(confirmation.product) if name == orders.RELEASE else f"{name}/{name}"
    prefect = given.context.open_prefect()  # a client that others use, too
    run = prefect.start_run(deployment, {"request": request}, key, ("page",), given.who)
    said = {"who": given.who, "said": form["reason"].strip()}
    context = given.context
    context.open_journal().record(
        Event(confirmation.product, str(run.id), context.clock.now(), f"{name}.ordered", said)
    )
    return str(run.id)


def _version(form: Mapping[str, str]) -> dict[str, int]:
    version = form.get("version", "").strip().removeprefix("v")
    if not version:
        return {}
    if not version.isdecimal() or not 0 < int(version) < 10**9:
        raise BadInput(f"{version[:40]!r} is no version: versions are numbers from 1 on")
    return {"version": int(version)}
