"""The threads of events: one receiver that hangs or one that is removed concerns no other; Prefect is told the same."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.errors import PlatformUnreachable
from deployments.event_delivery.subscriptions import Subscriptions, new_subscription
from deployments.journals.in_memory import InMemoryJournal
from deployments.settings import Settings
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.events import EventDelivery
from tests.unit.deployments.event_delivery.a_line import ROLLOUT, line, refused
from tests.unit.deployments.event_delivery.a_receiver import plain, receiver


class PrefectInMemory:
    """Takes events; away while `away`."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.away = False

    def emit(self, events: list[dict[str, Any]]) -> None:
        if self.away:
            raise PlatformUnreachable("Prefect does not answer")
        self.told += events


class Scene:
    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home", project=folder)
        self.settings.private_home()
        self.journal, self.prefect = InMemoryJournal(), PrefectInMemory()
        doors: Any = (lambda: self.journal, lambda: self.prefect, None)
        self.delivery = EventDelivery(Context(self.settings, SystemClock(), *doors, behind_gateway=True))
        self.subscriptions = Subscriptions(self.settings.keys_folder)
        self.delivery.look()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    with closing(made.delivery):
        yield made


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_receiver_that_hangs_keeps_no_other_one_waiting(scene: Scene) -> None:
    over = threading.Event()
    with receiver(lambda _: over.wait(30) or None) as hangs, receiver(plain("200 OK")) as well:
        for each in (hangs, well):
            scene.subscriptions.keep(new_subscription(each.url))
        for number in range(3):
            scene.journal.record(refused(seconds=number))
        began = time.monotonic()
        scene.delivery.look()
        until(lambda: len(well.requests) == 3 and len(scene.prefect.told) == 3)
        assert time.monotonic() - began < 10
        until(lambda: len(hangs.requests) == 1)
        over.set()


def test_prefect_is_told_the_same_of_a_resource_that_automations_can_match(scene: Scene) -> None:
    scene.prefect.away = True
    scene.journal.record(line("order.pause", phase="paused", who="ann", said="lunch"))
    scene.delivery.look()
    until(lambda: bool(scene.delivery.waiting().get("prefect")))
    scene.prefect.away = False
    until(lambda: len(scene.prefect.told) == 2)
    changed, obeyed = scene.prefect.told
    assert (changed["event"], obeyed["event"]) == ("io.seatrial.rollout.phase_changed", "io.seatrial.order.obeyed")
    assert obeyed["resource"] == {"prefect.resource.id": "seatrial.product.flights", "prefect.resource.name": "flights"}
    assert obeyed["related"] == [
        {"prefect.resource.id": f"prefect.flow-run.{ROLLOUT}", "prefect.resource.role": "flow-run"}
    ]
    assert obeyed["payload"]["who"] == "ann"


def test_a_subscription_that_is_removed_has_no_thread_any_more(scene: Scene) -> None:
    with receiver(plain("200 OK")) as heard:
        new = new_subscription(heard.url)
        scene.subscriptions.keep(new)
        scene.delivery.look()
        name = f"events-{new.id}"
        assert name in {each.name for each in threading.enumerate()}
        scene.subscriptions.remove(new.id)
        scene.delivery.look()
        until(lambda: name not in {each.name for each in threading.enumerate()})
