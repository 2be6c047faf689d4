"""What the looking operations tell."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final

from deployments import wiring
from deployments.access_control.principal import Principal
from deployments.access_control.roles import Permission
from deployments.errors import NotFound
from deployments.journals.protocol import Event
from deployments.local_platform.addresses import read_addresses
from deployments.plurals import counted
from deployments.rollout.state import RolloutState
from deployments.rollout.wait_conditions import waiting
from deployments.routers.protocol import Router
from deployments.spec import Strategy
from deployments.webhooks.hooks import Hooks
from deployments.webhooks.inbox import Inbox
from flows.entrypoints.control_service.api.paging import page_of
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from flows.entrypoints.control_service.short_cache import ShortCache
from flows.reports.history import event_report
from flows.reports.links import links_of
from flows.reports.orders import orders_report
from flows.reports.products import product_report, products_report, specs_by_product
from flows.reports.progress import plan_of, progress_report, weights_over_time
from flows.reports.rollout import state_report
from flows.reports.schedules import schedules_report
from flows.reports.webhooks import delivery_report, webhook_report

CURRENT: Final = "current"
_MOST_DELIVERIES: Final = 1000
_LASTS: Final = timedelta(seconds=1)


class BadQuery(Exception):
    """A parameter that cannot be meant; says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: by whom, with which parts of the path and which parameters, each once."""

    principal: Principal
    path: Mapping[str, str]
    query: Mapping[str, str]

    @property
    def product(self) -> str:
        """Of the path."""
        return self.path["product"]

    def may_see(self, product: str) -> bool:
        """Whether the product is to be told of at all."""
        return self.principal.may(Permission.VIEW, product)


class Looks:
    """The answers by the operation's id. What many ask for at once is found once a second."""

    def __init__(self, context: Context, evidence: EvidenceProcess) -> None:
        self._context, self._evidence = context, evidence
        self._recent = ShortCache(context.clock, _LASTS)
        self._inbox: Callable[[], Inbox] = cache(lambda: Inbox(context.settings.feedback_database))

    def tell(self, operation: str, asked: Asked) -> Any:
        """The answer of an operation, as JSON. Raises `SeatrialError`, `BadPage`, `BadQuery`."""
        look: Callable[[Asked], Any] = getattr(self, operation)
        return look(asked)

    def caller(self, asked: Asked) -> Any:
        """Who asks."""
        return {"who": asked.principal.who, "roles": dict(asked.principal.grants)}

    def status(self, asked: Asked) -> Any:
        """The platform at a glance."""
        addresses = read_addresses(self._context.settings)
        return {
            "platform": {part: addresses.url(part) for part in ("gateway", "prefect", "mlflow")},
            "products": len(self._products_of(asked)),
            "rollouts": [state_report(state) for state in self._under_way_of(asked)],
        }

    def products(self, asked: Asked) -> Any:
        """By name."""
        return page_of(asked.query, self._products_of(asked), lambda each: str(each["product"]), _as_it_is)

    def product(self, asked: Asked) -> Any:
        """One of them."""
        newest = next(iter(self._context.open_journal().rollouts(asked.product)), None)
        spec = specs_by_product(self._context.settings.specs_folder).get(asked.product)
        if newest is None and spec is None:
            raise NotFound(f"there is no product {asked.product}: GET /seatrial/api/v1/products names those there are")
        return product_report(asked.product, newest, router_of, spec)

    def plan(self, asked: Asked) -> Any:
        """Of the next release."""
        strategy, rate = asked.query.get("strategy"), asked.query.get("rate")
        if strategy is not None and strategy not in set(Strategy):
            raise BadQuery(f"no strategy {strategy!r}: write one of {', '.join(Strategy)}")
        spec = specs_by_product(self._context.settings.specs_folder).get(asked.product)
        if spec is None:
            raise NotFound(f"{asked.product} has no spec in {self._context.settings.specs_folder.name}/: write one")
        return self._evidence.plan(spec.called, strategy, None if rate is None else _rate(rate))

    def rollouts(self, asked: Asked) -> Any:
        """Newest first."""
        found = self._context.open_journal().rollouts(asked.product)
        if not found:
            self.product(asked)  # an empty list is only of a product that there is
        return page_of(asked.query, found, _id_of, state_report)

    def rollout(self, asked: Asked) -> Any:
        """All of one that can be told without weighing evidence."""
        state, journal, now = self._found(asked), self._context.open_journal(), self._context.clock.now()
        wait, carrier = waiting(state), journal.holder(state.product, now) if state.live else None
        return state_report(state) | {
            "plan": plan_of(state),
            "weights": [
                {"at": at, "share": share} for at, share in weights_over_time(state, journal.events(state.product))
            ],
            "progress": progress_report(state, journal),
            "orders": orders_report(state, journal),
            "links": links_of(state, self._context.settings),
            "sentence": wait.sentence(now) if wait else "",
            "carried_by": str(carrier) if carrier else None,
        }

    def evidence(self, asked: Asked) -> Any:
        """As `explain`."""
        return self._weighed("explanation", asked)

    def replay(self, asked: Asked) -> Any:
        """As `replay`."""
        return self._weighed("replay", asked)

    def forecast(self, asked: Asked) -> Any:
        """What is ahead."""
        return self._weighed("forecast", asked)

    def history(self, asked: Asked) -> Any:
        """Of one product."""
        events = self._context.open_journal().events(asked.product)
        if not events:
            self.product(asked)
        return _page_of_events(asked, events)

    def events(self, asked: Asked) -> Any:
        """Of all products that the caller may see."""
        events = self._context.open_journal().events()
        return _page_of_events(asked, [event for event in events if asked.may_see(event.product)])

    def under_way(self, asked: Asked) -> Any:
        """Oldest first."""
        return page_of(asked.query, self._under_way_of(asked), _id_of, state_report)

    def schedules(self, asked: Asked) -> Any:
        """By product."""
        found = self._recent.of("schedules", lambda: schedules_report(self._context.open_prefect()))
        return {name: facts for name, facts in found.items() if asked.may_see(name)}

    def webhooks(self, asked: Asked) -> Any:
        """By path."""
        hooks = [hook for hook in Hooks(self._context.settings.keys_folder).all() if asked.may_see(hook.product)]
        return page_of(asked.query, hooks, lambda hook: hook.path, webhook_report)

    def deliveries(self, asked: Asked) -> Any:
        """Newest first."""
        found = [each for each in self._inbox().newest(_MOST_DELIVERIES) if asked.may_see(each.product)]
        return page_of(asked.query, found, lambda each: each.mark, delivery_report)

    def _products_of(self, asked: Asked) -> list[dict[str, Any]]:
        return [each for each in self._recent.of("products", self._all_products) if asked.may_see(each["product"])]

    def _all_products(self) -> list[dict[str, Any]]:
        with self._one_look():
            return products_report(self._context.open_journal(), router_of, self._context.settings.specs_folder)

    def _one_look(self) -> AbstractContextManager[None]:
        """The gateway of this machine is asked once for all products."""
        return wiring.one_look() if self._context.behind_gateway else nullcontext()

    def _under_way_of(self, asked: Asked) -> list[RolloutState]:
        return [state for state in self._context.open_journal().under_way() if asked.may_see(state.product)]

    def _weighed(self, question: str, asked: Asked) -> Any:
        rollout_id = self._found(asked).rollout_id
        key = (question, asked.product, rollout_id)
        return self._recent.of(key, lambda: getattr(self._evidence, question)(asked.product, rollout_id))

    def _found(self, asked: Asked) -> RolloutState:
        known, wanted = self._context.open_journal().rollouts(asked.product), asked.path["rollout"]
        if wanted == CURRENT:
            found = [state for state in known if state.live][:1] or list(known[:1])
        else:
            found = [state for state in known if state.rollout_id.startswith(wanted)]
        if len(found) != 1:
            number = counted(len(found), "rollout")
            raise NotFound(f"{asked.product} has {number} whose id begins with {wanted!r}: `current` is the newest")
        return found[0]


def router_of(state: RolloutState) -> Router:
    """Whoever splits the traffic of a rollout's product, for looking only."""
    return wiring.read_only_doors_of(state.section).router


def _page_of_events(asked: Asked, events: Sequence[Event]) -> dict[str, Any]:
    """Newest first. An event is known by what it is, not by its place: a journal in a cluster drops its oldest ones."""
    seen: Counter[str] = Counter()
    named = []
    for event in events:
        name = f"{event.at.isoformat()} {event.product} {event.run} {event.kind}"
        seen[name] += 1
        named.append((f"{name} {seen[name]}", event))
    return page_of(asked.query, named[::-1], lambda each: str(each[0]), lambda each: event_report(each[1]))


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not (text.isascii() and 0 <= rate <= 1_000_000):
        raise BadQuery("rate is a number of requests per second from 0 to 1000000")
    return rate


def _id_of(state: RolloutState) -> str:
    return state.rollout_id


def _as_it_is(each: dict[str, Any]) -> dict[str, Any]:
    return each
