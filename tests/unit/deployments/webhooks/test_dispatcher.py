"""What was accepted becomes one run, whatever is away and whoever dies in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from deployments.clock import ManualClock
from deployments.journals.in_memory import InMemoryJournal
from deployments.journals.protocol import Event
from deployments.journals.registration_notes import REGISTERED
from deployments.webhooks.dispatcher import NO_DEPLOYMENT_FOR, STUCK_FOR, TAKEN_FOR, Dispatcher, Openers
from deployments.webhooks.inbox import Delivery, Inbox, State
from tests.advice import followed
from tests.unit.deployments.webhooks.deliveries import PRODUCT, START
from tests.unit.deployments.webhooks.fake_prefect import FakePrefect
from tests.unit.deployments.webhooks.test_inbox import release, rollout


class KilledError(BaseException):
    """Stands for the end of the process."""


@dataclass
class Scene:
    inbox: Inbox
    prefect: FakePrefect = field(default_factory=FakePrefect)
    journal: InMemoryJournal = field(default_factory=InMemoryJournal)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START + timedelta(seconds=10)))
    said: list[str] = field(default_factory=list)

    def dispatcher(self) -> Dispatcher:
        """As a process that has just begun has it."""
        doors = Openers(lambda: self.inbox, lambda: self.journal, self.prefect.api)
        return Dispatcher(doors, self.clock, self.said.append)

    def found(self, delivery: Delivery) -> Delivery:
        found = self.inbox.find(delivery.mark)
        assert found is not None
        return found

    def registered(self, version: int) -> None:
        detail = {"version": version, "mlflow_run": "abc", "seal": "def"}
        self.journal.record(Event(PRODUCT, "run", START, REGISTERED, detail))

    def history(self) -> list[str]:
        return [event.kind for event in self.journal.events(PRODUCT) if event.kind.startswith("webhook.")]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    inbox = Inbox(f"sqlite:///{tmp_path / 'journal.db'}")
    yield Scene(inbox)
    inbox.close()


def away() -> None:
    raise httpx.ConnectError("refused")


def test_a_release_becomes_a_run_of_the_products_deployment_and_stands_in_the_history(scene: Scene) -> None:
    scene.inbox.put([release("1")])
    scene.dispatcher().look()
    ((deployment, key),) = scene.prefect.runs
    assert (deployment, scene.prefect.parameters) == ("release.shop", [{"request": {"product": "shop"}}])
    assert key == f"webhook-{release('1').mark}"
    (event,) = scene.journal.events(PRODUCT)
    found = scene.found(release("1"))
    assert (event.kind, event.run, event.detail["who"]) == ("webhook.started", found.run, "github (webhook)")
    assert found.state is State.STARTED


def test_a_version_that_seatrial_registered_is_rolled_out_without_training(scene: Scene) -> None:
    scene.registered(3)
    scene.inbox.put([rollout(3, timedelta(0))])
    scene.dispatcher().look()
    assert [deployment for deployment, _ in scene.prefect.runs] == ["retry.retry"]
    assert scene.prefect.parameters == [{"request": {"product": "shop", "version": 3}}]


def test_a_version_of_somebody_elses_is_refused_with_the_reason(scene: Scene) -> None:
    scene.registered(3)
    scene.inbox.put([rollout(4, timedelta(0))])
    scene.dispatcher().look()
    found = scene.found(rollout(4, timedelta(0)))
    assert (found.state, scene.prefect.runs) == (State.REFUSED, {})
    advice = followed(" was not registered by Seatrial, so nothing has judged it: `seatrial release …` makes a version")
    assert advice.replace("…", "shop") in found.why
    scene.registered(5)  # as a release does
    scene.inbox.put([rollout(5, timedelta(0))])
    scene.dispatcher().look()
    assert scene.found(rollout(5, timedelta(0))).state is State.STARTED
    assert scene.history() == ["webhook.refused", "webhook.started"]
    assert any("v4 was not registered by Seatrial" in line for line in scene.said)


@pytest.mark.parametrize("moment", ["before", "after", "noted"])
def test_whoever_dies_while_a_run_is_started_leaves_one_run_and_one_line_of_history(
    scene: Scene, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KilledError

    scene.inbox.put([release("1")])
    with monkeypatch.context() as until_then:
        if moment == "noted":
            until_then.setattr(scene.inbox, "became", die)
        else:
            setattr(scene.prefect, moment, die)
        with pytest.raises(KilledError):
            scene.dispatcher().look()
    scene.prefect.before = scene.prefect.after = lambda: None
    for _ in range(2):
        scene.dispatcher().look()
    assert len(scene.prefect.runs) == 1
    assert scene.history() == ["webhook.started"]
    assert scene.found(release("1")).state is State.STARTED


def test_an_answer_that_is_lost_makes_no_second_run(scene: Scene) -> None:
    scene.inbox.put([release("1")])
    scene.prefect.after = away
    dispatcher = scene.dispatcher()
    dispatcher.look()
    scene.prefect.after = lambda: None
    dispatcher.look()
    assert len(scene.prefect.runs) == 1
    assert scene.found(release("1")).run == str(next(iter(scene.prefect.runs.values()))["id"])


def test_a_prefect_that_is_away_for_more_than_an_hour_is_waited_for_and_that_is_said_once(scene: Scene) -> None:
    scene.inbox.put([release(str(n)) for n in range(3)])
    scene.prefect.before = away
    dispatcher = scene.dispatcher()
    ends = scene.clock.now() + timedelta(hours=2)
    pauses = []
    while scene.clock.now() < ends:
        pauses.append(dispatcher.look())
        scene.clock.advance(pauses[-1])
    assert pauses[:7] == [timedelta(seconds=n) for n in (1, 2, 4, 8, 16, 30, 30)]
    assert scene.prefect.asked < 300, "each waiting delivery is not a question of its own"
    waits = "webhooks wait: Prefect at http://prefect/api does not answer (ConnectError) (3 deliveries wait)"
    assert scene.said == [waits]
    assert "does not answer" in scene.inbox.newest(3)[0].why or "does not answer" in scene.inbox.waiting(1)[0].why
    scene.prefect.before = lambda: None
    dispatcher.look()
    assert len(scene.prefect.runs) == 3
    assert scene.said[-1] == "webhooks go on: what they waited for is there again"


def test_what_prefect_will_never_take_is_given_up_loudly_and_others_go_on(scene: Scene) -> None:
    scene.inbox.put([release("1")])
    scene.prefect.refuses = True
    dispatcher = scene.dispatcher()
    dispatcher.look()
    found = scene.found(release("1"))
    assert (found.state, "Validation failed" in found.why) == (State.DEAD, True)
    assert scene.history() == ["webhook.given_up"]
    assert any("came to nothing" in line and "Validation failed" in line for line in scene.said)
    scene.prefect.refuses = False
    scene.inbox.put([release("2")])
    dispatcher.look()
    assert scene.found(release("2")).state is State.STARTED


def test_a_deployment_that_is_not_made_yet_is_waited_for_and_keeps_no_other_product_waiting(scene: Scene) -> None:
    scene.prefect.deployments = {"release/other"}
    scene.inbox.put([*(release(str(n)) for n in range(150)), release("1", "other")])
    dispatcher = scene.dispatcher()
    dispatcher.look()
    assert scene.found(release("1", "other")).state is State.STARTED
    assert any("'release/shop'" in line for line in scene.said)
    asked = scene.prefect.asked
    for number in range(200, 220):  # what comes meanwhile is no further question
        scene.inbox.put([release(str(number))])
        assert dispatcher.look() == STUCK_FOR
    assert scene.prefect.asked == asked
    scene.prefect.deployments.add("release/shop")
    scene.clock.advance(STUCK_FOR)
    dispatcher.look()
    assert len(scene.prefect.runs) == 171
    assert not scene.inbox.waiting(1)


def test_a_deployment_that_nobody_makes_is_given_up(scene: Scene) -> None:
    scene.prefect.deployments = {"release/other"}
    scene.inbox.put([release("1")])
    dispatcher = scene.dispatcher()
    dispatcher.look()
    assert scene.found(release("1")).state is State.WAITING
    scene.clock.advance(NO_DEPLOYMENT_FOR)
    dispatcher.look()
    assert scene.found(release("1")).state is State.DEAD


def test_what_waits_is_started_by_the_process_that_comes_next(scene: Scene) -> None:
    scene.inbox.put([release("1")])
    scene.dispatcher()  # one that did not come to it
    scene.dispatcher().look()
    assert len(scene.prefect.runs) == 1


def test_a_run_that_a_killed_worker_took_is_given_to_the_next_one(scene: Scene) -> None:
    scene.prefect.states = {
        "long": ("PENDING", (scene.clock.now() - TAKEN_FOR - timedelta(seconds=1)).isoformat()),
        "new": ("PENDING", scene.clock.now().isoformat()),
        "runs": ("RUNNING", START.isoformat()),
    }
    scene.dispatcher().look()
    assert {run: kind for run, (kind, _) in scene.prefect.states.items()} == {
        "long": "SCHEDULED", "new": "PENDING", "runs": "RUNNING",
    }  # fmt: skip


def test_no_password_and_no_key_stands_in_what_is_said(scene: Scene) -> None:
    scene.inbox.put([release("1")])
    scene.prefect.before = away
    scene.dispatcher().look()
    assert scene.said
    assert not [line for line in scene.said if "hunter2" in line]


@pytest.mark.parametrize(
    ("ended", "is_served"), [(None, True), (timedelta(seconds=5), True), (timedelta(seconds=-5), False)]
)
def test_a_rollout_that_sets_the_alias_itself_is_not_started_again(
    scene: Scene, ended: timedelta | None, is_served: bool, a_rollout: Callable[..., None]
) -> None:
    scene.registered(3)
    a_rollout(scene.journal, 3, START + timedelta(minutes=1), ended)
    scene.inbox.put([replace(rollout(3, timedelta(minutes=1)), delivery="1")])
    scene.dispatcher().look()
    found = scene.found(rollout(3, timedelta(minutes=1)))
    assert (found.state is State.NOTHING) is is_served
    assert bool(scene.prefect.runs) is not is_served


def test_while_prefect_is_away_what_comes_does_not_shorten_the_pause(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.inbox.put([release("1")])
    scene.prefect.before = away
    dispatcher, slept = scene.dispatcher(), []

    def sleep(pause: timedelta) -> None:
        slept.append(pause)
        scene.inbox.put([release(f"meanwhile-{len(slept)}")])
        dispatcher.wake()
        if len(slept) == 6:
            raise KilledError

    monkeypatch.setattr(scene.clock, "sleep", sleep)
    with pytest.raises(KilledError):
        dispatcher.run_for_ever()
    assert slept == [timedelta(seconds=n) for n in (1, 2, 4, 8, 16, 30)]
    assert scene.prefect.asked == 6
