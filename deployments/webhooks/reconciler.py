"""Finds what was set in MLflow's registry and never delivered: MLflow keeps no delivery, and loses them when it dies.

What stands there is compared with what was last seen. A difference that lasts longer than MLflow tries to deliver is
put into the inbox, as its delivery would have been.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from deployments.clock import Clock
from deployments.errors import NotFound
from deployments.registry.mlflow_rest import MLflowRest
from deployments.webhooks.hooks import Hook, Hooks
from deployments.webhooks.inbox import FOUND, Delivery, Inbox, Seen, mark_of
from deployments.webhooks.requests import Action, Wish

EVERY: Final = timedelta(seconds=15)
# Four tries with pauses of 1, 2 and 4 s, and a second of chance at each.
DELIVERED_WITHIN: Final = timedelta(seconds=30)
_WRITTEN_EVERY: Final = timedelta(minutes=1)
_SOURCE: Final = "mlflow"


class Reconciler:
    """Looks at the registry for each webhook of MLflow's; `woken` is called when something was put into the inbox.

    `gateway` is where the platform's gateway listens now, None: unknown. MLflow is pointed at it if it took another
    port, and if somebody deleted the webhook there.
    """

    def __init__(
        self,
        hooks: Hooks,
        open_inbox: Callable[[], Inbox],
        open_mlflow: Callable[[], MLflowRest],
        clock: Clock,
        woken: Callable[[], None] = lambda: None,
        gateway: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._hooks, self._open_inbox, self._open_mlflow = hooks, open_inbox, open_mlflow
        self._clock, self._woken, self._gateway = clock, woken, gateway
        self._pointed: dict[str, str] = {}
        self._suspected: dict[tuple[str, str, int], datetime] = {}

    def look(self) -> None:
        """One look for all webhooks. Raises what MLflow's API and the inbox raise: the next look finds the same."""
        hooks = [hook for hook in self._hooks.all() if hook.source == _SOURCE]
        if not hooks:
            return
        with self._open_mlflow() as mlflow:
            for hook in hooks:
                self._point(mlflow, hook)
                for rule in hook.rules:
                    self._compare(hook, rule, standing(mlflow, hook.product, rule))

    def _point(self, mlflow: MLflowRest, hook: Hook) -> None:
        address = hook.gateway or self._gateway()
        if not hook.registered or address is None or self._pointed.get(hook.registered) == address:
            return
        registered = point_at(mlflow, hook, address)
        if registered != hook.registered:
            self._hooks.keep(replace(hook, registered=registered))
        self._pointed[registered] = address

    def _compare(self, hook: Hook, rule: str, now_there: frozenset[int]) -> None:
        at, inbox = self._clock.now(), self._open_inbox()
        seen = inbox.seen(hook.product, rule)
        known = now_there if seen is None else seen.versions
        if seen is not None and known == now_there and at - seen.at < _WRITTEN_EVERY:
            return
        late: list[Delivery] = []
        waits = False
        for version in sorted(now_there - known):
            since = self._suspected.setdefault((hook.product, rule, version), at)
            if at - since < DELIVERED_WITHIN:
                waits = True
            else:
                late.append(_undelivered(hook.product, rule, version, seen, at))
        if waits:  # what was seen must stand until that has come, or is late
            return
        self._suspected = {
            known: since for known, since in self._suspected.items() if known[:2] != (hook.product, rule)
        }
        if inbox.looked(hook.product, rule, now_there, at, late):
            self._woken()


def standing(mlflow: MLflowRest, product: str, rule: str) -> frozenset[int]:
    """The versions that a rule, `alias:…` or `tag:…`, is true of now."""
    kind, _, about = rule.partition(":")
    if kind == "alias":
        version = mlflow.aliases(product).get(about)
        return frozenset() if version is None else frozenset({version})
    key, has_value, value = about.partition("=")
    return frozenset(
        version
        for version, tags in mlflow.tags(product).items()
        if key in tags and (not has_value or tags[key] == value)
    )


def point_at(mlflow: MLflowRest, hook: Hook, gateway: str) -> str:
    """Let MLflow send this webhook to the gateway at this address; its id there, a new one where it had it no more."""
    url = f"{gateway.rstrip('/')}{hook.path}"
    if hook.registered:
        with suppress(NotFound):
            if mlflow.webhook_url(hook.registered) != url:
                mlflow.change_webhook(hook.registered, url=url)
            return hook.registered
    return mlflow.register_webhook(f"seatrial-{hook.product}", url, hook.keys[0].secret)


def begin(mlflow: MLflowRest, inbox: Inbox, hook: Hook, at: datetime) -> None:
    """What stands in the registry when a webhook is made is nobody's wish."""
    for rule in hook.rules:
        inbox.looked(hook.product, rule, standing(mlflow, hook.product, rule), at, [])


def _undelivered(product: str, rule: str, version: int, seen: Seen | None, at: datetime) -> Delivery:
    since = at if seen is None else seen.at
    identity = f"{FOUND}{rule}-{version}-{since.timestamp()}"
    wish = Wish(Action.ROLLOUT, version, rule, f"{rule} was set on v{version}, which MLflow did not deliver", since)
    mark = mark_of(_SOURCE, product, identity)
    return Delivery(mark, _SOURCE, product, f"{FOUND}{mark[:12]}", wish, since, at)
