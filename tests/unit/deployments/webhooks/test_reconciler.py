"""What MLflow never delivered is found in its registry, once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from deployments.clock import ManualClock
from deployments.errors import RegistryUnreachable
from deployments.registry.mlflow_rest import MLflowRest
from deployments.webhooks.hooks import Hook, Hooks, new_hook
from deployments.webhooks.inbox import Inbox, Kept
from deployments.webhooks.reconciler import DELIVERED_WITHIN, EVERY, Reconciler, point_at
from tests.unit.deployments.webhooks.deliveries import PRODUCT, START
from tests.unit.deployments.webhooks.test_inbox import rollout


@dataclass
class Registry:
    """MLflow's REST API over aliases and tags of the product's versions."""

    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
    webhooks: dict[str, dict[str, object]] = field(default_factory=dict)
    is_away: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("refused")
        match request.method, request.url.path.removeprefix("/api/2.0/mlflow/").split("/"):
            case "GET", ["registered-models", "get"]:
                named = [{"alias": alias, "version": str(version)} for alias, version in self.aliases.items()]
                return httpx.Response(200, json={"registered_model": {"aliases": named}})
            case "GET", ["model-versions", "search"]:
                found = [
                    {"version": str(version), "tags": [{"key": key, "value": value} for key, value in tags.items()]}
                    for version, tags in self.tags.items()
                ]
                return httpx.Response(200, json={"model_versions": found})
            case "POST", ["webhooks"]:
                self.webhooks["w1"] = {"url": "…"}
                return httpx.Response(200, json={"webhook": {"webhook_id": "w1"}})
            case "GET", ["webhooks", one] if one in self.webhooks:
                return httpx.Response(200, json={"webhook": self.webhooks[one]})
            case "PATCH", ["webhooks", one] if one in self.webhooks:
                self.webhooks[one] = {"url": "changed"}
                return httpx.Response(200, json={})
        return httpx.Response(404)

    def api(self) -> MLflowRest:
        return MLflowRest("http://mlflow", ("seatrial", "hunter2"), httpx.MockTransport(self))


@dataclass
class Scene:
    inbox: Inbox
    hooks: Hooks
    registry: Registry = field(default_factory=Registry)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    woken: int = 0

    def wake(self) -> None:
        self.woken += 1

    def reconciler(self) -> Reconciler:
        return Reconciler(self.hooks, lambda: self.inbox, self.registry.api, self.clock, self.wake)

    def looks(self, reconciler: Reconciler, duration: timedelta) -> None:
        ends = self.clock.now() + duration
        while self.clock.now() <= ends:
            reconciler.look()
            self.clock.advance(EVERY)

    @property
    def found(self) -> list[int | None]:
        return [each.wish.version for each in reversed(self.inbox.newest(100))]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    inbox, hooks = Inbox(f"sqlite:///{tmp_path / 'journal.db'}"), Hooks(tmp_path / "keys")
    hooks.keep(new_hook("mlflow", PRODUCT, ("alias:challenger", "tag:ready=yes")))
    hooks.keep(new_hook("github", PRODUCT))
    yield Scene(inbox, hooks)
    inbox.close()


MINUTE = timedelta(minutes=1)


def test_an_alias_that_was_set_and_not_delivered_is_found_once(scene: Scene) -> None:
    reconciler = scene.reconciler()
    scene.looks(reconciler, MINUTE)
    scene.registry.aliases = {"challenger": 3, "champion": 1}
    scene.looks(reconciler, DELIVERED_WITHIN / 2)
    assert scene.found == [], "MLflow has time to deliver it"
    scene.looks(reconciler, 10 * MINUTE)
    scene.looks(scene.reconciler(), 10 * MINUTE)  # of the process that comes next
    assert (scene.found, scene.woken) == ([3], 1)
    (delivery,) = scene.inbox.newest(10)
    assert "which MLflow did not deliver" in delivery.wish.reason
    scene.registry.aliases = {"challenger": 4}
    scene.looks(reconciler, MINUTE)
    assert scene.found == [3, 4]


def test_what_stood_there_before_the_webhook_was_made_is_nobodys_wish(scene: Scene) -> None:
    scene.registry.aliases, scene.registry.tags = {"challenger": 3}, {3: {"ready": "yes"}}
    scene.looks(scene.reconciler(), 5 * MINUTE)
    assert scene.found == []


def test_what_was_delivered_is_not_found(scene: Scene) -> None:
    reconciler = scene.reconciler()
    scene.looks(reconciler, MINUTE)
    scene.registry.aliases = {"challenger": 3}
    scene.looks(reconciler, EVERY / 2)
    assert scene.inbox.put([rollout(3, scene.clock.now() - START)]) == (Kept.NEW,)
    scene.looks(reconciler, 5 * MINUTE)
    assert scene.found == [3]


def test_an_alias_that_was_set_while_nothing_ran_is_found(scene: Scene) -> None:
    scene.looks(scene.reconciler(), MINUTE)
    scene.clock.advance(timedelta(days=2))
    scene.registry.aliases = {"challenger": 3}
    scene.looks(scene.reconciler(), MINUTE)
    assert scene.found == [3]


def test_an_alias_that_goes_and_comes_is_found_again(scene: Scene) -> None:
    reconciler = scene.reconciler()
    for aliases in ({}, {"challenger": 3}, {}, {"challenger": 3}):
        scene.registry.aliases = dict(aliases)
        scene.looks(reconciler, 2 * MINUTE)
    assert scene.found == [3, 3]


def test_each_version_with_a_tag_is_found(scene: Scene) -> None:
    reconciler = scene.reconciler()
    scene.looks(reconciler, MINUTE)
    scene.registry.tags = {2: {"ready": "no"}, 3: {"ready": "yes"}}
    scene.looks(reconciler, 2 * MINUTE)
    scene.registry.tags |= {4: {"ready": "yes", "other": ""}}
    scene.looks(reconciler, 2 * MINUTE)
    assert scene.found == [3, 4]


def test_a_registry_that_does_not_answer_is_asked_again(scene: Scene) -> None:
    reconciler = scene.reconciler()
    scene.looks(reconciler, MINUTE)
    scene.registry.aliases = {"challenger": 3}
    scene.registry.is_away = True
    with pytest.raises(RegistryUnreachable) as away:
        reconciler.look()
    assert "hunter2" not in str(away.value)
    scene.registry.is_away = False
    scene.looks(reconciler, MINUTE)
    assert scene.found == [3]


def test_without_a_webhook_of_mlflow_it_is_not_asked(tmp_path: Path) -> None:
    def nobody() -> MLflowRest:
        raise AssertionError

    inbox = Inbox(f"sqlite:///{tmp_path / 'journal.db'}")
    Reconciler(Hooks(tmp_path / "keys"), lambda: inbox, nobody, ManualClock(START)).look()
    inbox.close()


@pytest.mark.parametrize(
    ("there", "url"), [(f"http://here/seatrial/webhooks/mlflow/{PRODUCT}",) * 2, ("http://elsewhere", "changed")]
)
def test_mlflow_is_pointed_at_where_the_gateway_is(there: str, url: str) -> None:
    hook, registry = Hook("mlflow", PRODUCT, (), new_hook("mlflow", PRODUCT).keys, "w0"), Registry()
    registry.webhooks = {"w0": {"url": there}}
    assert point_at(registry.api(), hook, "http://here") == "w0"
    assert registry.webhooks["w0"]["url"] == url


def test_a_webhook_that_somebody_deleted_in_mlflow_is_made_anew(scene: Scene) -> None:
    hook = new_hook("mlflow", PRODUCT)
    assert point_at(scene.registry.api(), hook, "http://here") == "w1"
