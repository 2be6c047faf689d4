"""Sending to one receiver over hours and days, on a clock that stands still until somebody waits."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.event_delivery.collector import collect
from deployments.event_delivery.outbox import Delivery, Outbox
from deployments.event_delivery.sender import Answer, Arrived, Gone, Later, Sender
from deployments.journals.in_memory import InMemoryJournal
from tests.unit.deployments.event_delivery.a_line import NOW, Everybody, refused


class Scene:
    """A receiver that answers as `answer` says, and remembers what came and when."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox, self.journal, self.clock = outbox, InMemoryJournal(), ManualClock(NOW)
        self.answer: Callable[[Delivery], Answer] = lambda _: Arrived()
        self.tried: list[tuple[str, float]] = []
        self.arrived: list[str] = []
        self.said: list[str] = []
        self.sender = self.new_sender()
        self._collect()

    def new_sender(self) -> Sender:
        return Sender("somebody", lambda: self.outbox, self._send, self.clock, self.said.append, random.Random(1))

    def happens(self, *events: tuple[str, str]) -> None:
        for product, reason in events:
            self.journal.record(refused(product, reason=reason))
        self._collect()

    def passes(self, time: timedelta) -> None:
        """As the thread does it: look, wait as long as is said, look again."""
        end = self.clock.monotonic() + time.total_seconds()
        while self.clock.monotonic() < end:
            self.clock.sleep(min(max(self.sender.look(), timedelta(seconds=0.001)), timedelta(seconds=30)))

    def _collect(self) -> None:
        collect(self.journal, self.outbox, [Everybody()], self.clock)

    def _send(self, delivery: Delivery) -> Answer:
        reason = str(delivery.occurrence.data["reason"])
        self.tried.append((reason, self.clock.monotonic()))
        answer = self.answer(delivery)
        if isinstance(answer, Arrived):
            self.arrived.append(reason)
        return answer


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Outbox(f"sqlite:///{tmp_path / 'journal.db'}")) as outbox:
        yield Scene(outbox)


def test_a_receiver_that_was_away_for_hours_gets_all_in_order(scene: Scene) -> None:
    scene.answer = lambda _: Later("no answer", away=True)
    scene.happens(("flights", "1"), ("shop", "2"), ("flights", "3"))
    scene.passes(timedelta(hours=6))
    assert 20 < len(scene.tried) < 60
    assert len(scene.said) == 1
    scene.answer = lambda _: Arrived()
    scene.passes(timedelta(minutes=20))
    assert scene.arrived == ["1", "2", "3"]


def test_pauses_grow_and_are_not_the_same_for_all(scene: Scene) -> None:
    scene.answer = lambda _: Later("HTTP 500")
    scene.happens(("flights", "1"))
    scene.passes(timedelta(hours=2))
    times = [at for _, at in scene.tried]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] < 2
    assert max(pauses) <= 930
    assert all(0.45 * 2**number <= pause <= 2**number + 30 for number, pause in enumerate(pauses[:8]))
    assert len({round(pause / 2**number, 3) for number, pause in enumerate(pauses[:8])}) > 4


def test_after_a_day_it_is_given_up_and_what_came_later_has_its_own_day(scene: Scene) -> None:
    scene.answer = lambda _: Later("HTTP 500")
    scene.happens(("flights", "first"))
    scene.passes(timedelta(hours=12))
    scene.happens(("flights", "second"))
    scene.passes(timedelta(hours=13))
    assert [each.occurrence.data["reason"] for each in scene.outbox.dead(9)] == ["first"]
    scene.answer = lambda _: Arrived()
    scene.passes(timedelta(hours=1))
    assert scene.arrived == ["second"]
    scene.outbox.resend(scene.clock.now())
    scene.passes(timedelta(minutes=1))
    assert scene.arrived == ["second", "first"]


def test_one_event_that_is_not_taken_keeps_other_products_from_nothing(scene: Scene) -> None:
    scene.answer = lambda each: Later("HTTP 400") if each.occurrence.product == "flights" else Arrived()
    scene.happens(("flights", "1"), ("flights", "2"), ("shop", "3"), ("shop", "4"))
    scene.passes(timedelta(seconds=5))
    assert scene.arrived == ["3", "4"]
    assert {reason for reason, _ in scene.tried} == {"1", "3", "4"}


def test_one_event_that_cannot_be_sent_at_all_is_put_off_like_any_other(scene: Scene) -> None:
    def answer(each: Delivery) -> Answer:
        if each.occurrence.product == "flights":
            raise ValueError("a secret")
        return Arrived()

    scene.answer = answer
    scene.happens(("flights", "1"), ("shop", "2"))
    scene.passes(timedelta(seconds=5))
    assert scene.arrived == ["2"]
    assert not any("a secret" in each for each in scene.said)


@pytest.mark.parametrize("away", [True, False])
def test_the_pause_that_a_receiver_asks_for_is_kept(scene: Scene, away: bool) -> None:
    scene.answer = lambda _: Later("HTTP 429", timedelta(hours=2), away)
    scene.happens(("flights", "1"))
    scene.passes(timedelta(hours=1, minutes=59))
    assert len(scene.tried) == 1
    scene.answer = lambda _: Arrived()
    scene.passes(timedelta(minutes=2))
    assert scene.arrived == ["1"]


def test_who_is_gone_is_sent_nothing_more(scene: Scene) -> None:
    scene.answer = lambda _: Gone("HTTP 410")
    scene.happens(("flights", "1"), ("shop", "2"))
    scene.passes(timedelta(hours=1))
    assert len(scene.tried) == 1
    assert len(scene.outbox.dead(9)) == 2
    scene.happens(("flights", "3"))
    scene.passes(timedelta(hours=1))
    assert len(scene.tried) == 1


@pytest.mark.parametrize("jump", [timedelta(minutes=-10), timedelta(minutes=10)])
def test_a_clock_that_is_set_changes_no_pause(scene: Scene, jump: timedelta) -> None:
    scene.answer = lambda _: Later("HTTP 500")
    scene.happens(("flights", "1"))
    scene.sender.look()
    scene.clock._now += jump
    scene.answer = lambda _: Arrived()
    scene.passes(timedelta(seconds=2))
    assert scene.arrived == ["1"]
    scene.happens(("flights", "2"))
    scene.passes(timedelta(seconds=2))
    assert scene.arrived == ["1", "2"]


def test_a_process_that_begins_anew_does_not_wait_for_the_pauses_of_the_former_one(scene: Scene) -> None:
    scene.answer = lambda _: Later("HTTP 500", timedelta(hours=5))
    scene.happens(("flights", "1"))
    scene.sender.look()
    scene.answer = lambda _: Arrived()
    scene.sender = scene.new_sender()
    scene.sender.look()
    assert scene.arrived == ["1"]


def test_who_sends_again_by_hand_waits_for_no_pause(scene: Scene) -> None:
    scene.answer = lambda _: Later("no answer", timedelta(hours=5), away=True)
    scene.happens(("flights", "1"))
    scene.passes(timedelta(minutes=1))
    scene.answer = lambda _: Arrived()
    scene.outbox.resend(scene.clock.now())
    scene.passes(timedelta(minutes=1))
    assert scene.arrived == ["1"]
