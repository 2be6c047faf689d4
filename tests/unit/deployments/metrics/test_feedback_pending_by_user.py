"""Feedback by a user's key goes to the newest answer until its time, once the log can tell which that is."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.inference_log_reader import Log
from deployments.metrics.feedback import pending_by_user
from deployments.metrics.feedback.pending_by_user import ANSWERED_WITHIN, PATIENCE, KeyedFeedback, NoRoomToWait
from deployments.metrics.feedback.store import Feedback, FeedbackLedger
from deployments.serving.inference_log.arrow_table import Tables
from deployments.serving.inference_log.part_store import Parts, store_of
from tests.advice import followed
from tests.unit.deployments.serving.inference_log.answered import logged
from tests.unit.deployments.serving.inference_log.test_arrow_table import FLIGHTS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
FLUSH = 10 * SECOND


class Scene:
    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'journal.db'}"
        self.ledger = FeedbackLedger(self.url)
        self.log = Log(str(folder / "log"), FLUSH)
        self.parts = 0

    def write(self, *answers: tuple[str, str, float], version: int = 1, mirrored: bool = False) -> None:
        """A part with answers to keys, each with its id and the minutes after noon."""
        self.parts += 1
        parts = Parts(store_of(self.log.folder), "shop", str(version), f"e{self.parts}")
        told = [logged(name, key=key.encode(), answered=at * 60, mirrored=mirrored) for key, name, at in answers]
        tables = Tables(FLIGHTS)
        for day, block in tables.blocks(told, NOON.timestamp()):
            parts.write(day, tables.table([block]))

    def push(self, *items: KeyedFeedback) -> int:
        return self.ledger.store(items)

    def settle(self, minutes: float) -> list[str]:
        """What is given up so many minutes after noon."""
        return [each.key for each in self.ledger.settle("shop", self.log, NOON + minutes * MINUTE)]

    def clicks(self, *request_ids: str) -> dict[str, float]:
        return dict(self.ledger.latest("shop", "clicks", request_ids))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.ledger.close()


def about(key: str, value: float, minutes: float, metric: str = "clicks") -> KeyedFeedback:
    at = NOON + minutes * MINUTE
    return KeyedFeedback("shop", key, metric, value, at, at)


def test_it_goes_to_the_newest_answer_until_its_time_with_the_version_that_gave_it(scene: Scene) -> None:
    scene.write(("ann", "early", 1), ("ann", "mine", 3), ("bob", "his", 4))
    scene.write(("ann", "late", 6), version=2)
    scene.write(("ann", "nobodys", 4), version=2, mirrored=True)
    assert scene.push(about("ann", 1.0, 5), about("ann", 7.0, 6)) == 2
    assert scene.settle(10) == []
    assert scene.clicks("early", "mine", "his", "late", "nobodys") == {"mine": 1.0, "late": 7.0}
    assert {version: sums["clicks"].count for version, sums in scene.ledger.sums("shop").items()} == {1: 1, 2: 1}


def test_it_waits_until_all_that_was_answered_before_it_is_in_the_log(scene: Scene) -> None:
    scene.write(("ann", "early", 1))
    scene.push(about("ann", 1.0, 5))
    scene.settle(5.1)
    assert scene.clicks("early") == {}
    scene.write(("ann", "mine", 4.9))
    assert scene.ledger.waiting(NOON + 5.2 * MINUTE) == []
    assert scene.ledger.waiting(NOON + 6 * MINUTE) == ["shop"]
    scene.settle(6)
    assert scene.clicks("early", "mine") == {"mine": 1.0}
    assert scene.ledger.waiting(NOON + timedelta(days=9)) == []


def test_it_waits_ever_longer_for_a_part_that_comes_late(scene: Scene) -> None:
    scene.push(about("ann", 1.0, 0))
    looks = 0
    for minute in range(1, 12 * 60):
        if scene.ledger.waiting(NOON + minute * MINUTE):
            looks += 1
            assert scene.settle(minute) == []
    assert 10 < looks < 30
    scene.write(("ann", "mine", -1))
    scene.settle(14 * 60)
    assert scene.clicks("mine") == {"mine": 1.0}


def test_it_is_given_up_after_a_day_and_told(scene: Scene) -> None:
    scene.push(about("eve", 1.0, 0), about("bob", 1.0, 0))
    scene.write(("bob", "his", -1))
    assert scene.settle(PATIENCE / MINUTE) == []
    assert scene.clicks("his") == {"his": 1.0}
    assert scene.settle(PATIENCE / MINUTE + 60) == ["eve"]
    assert scene.settle(PATIENCE / MINUTE + 120) == []


def test_an_answer_of_long_ago_is_not_meant(scene: Scene) -> None:
    scene.write(("ann", "old", -ANSWERED_WITHIN / MINUTE - 1))
    scene.push(about("ann", 1.0, 0))
    scene.settle(10)
    assert scene.clicks("old") == {}


def test_sending_it_again_changes_nothing_before_and_after_it_is_settled(scene: Scene) -> None:
    scene.write(("ann", "mine", 1))
    for minutes in (10, 20, 30):
        scene.push(about("ann", 2.0, 5))
        assert scene.push(about("ann", 2.0, 5)) == 1
        scene.settle(minutes)
    assert scene.ledger.sums("shop")[1]["clicks"].count == 1
    assert scene.clicks("mine") == {"mine": 2.0}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_the_correction_of_a_later_time_counts_in_whichever_order_they_come(
    scene: Scene, order: tuple[int, int], together: bool
) -> None:
    scene.write(("ann", "mine", 1))
    told = [replace(about("ann", value, minutes), metric="label") for value, minutes in ((1.0, 5), (2.0, 6))]
    told = [replace(each, value=text) for each, text in zip(told, ("wrong", "right"), strict=True)]
    for place in order:
        scene.push(told[place])
        if not together:
            scene.settle(10 + place)
    scene.settle(20)
    scene.settle(21)
    assert scene.ledger.labels("shop", ["mine"]) == {"mine": "right"}


def test_by_key_and_by_request_are_one_and_the_same_value(scene: Scene) -> None:
    scene.write(("ann", "mine", 1))
    scene.ledger.store([Feedback("shop", 1, "mine", "clicks", 5.0, NOON + 7 * MINUTE)])
    scene.push(about("ann", 1.0, 6))
    scene.settle(10)
    assert scene.clicks("mine") == {"mine": 5.0}


def test_what_replaces_it_while_the_log_is_read_is_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.write(("ann", "mine", 1))
    scene.push(about("ann", 1.0, 5))
    read = pending_by_user.newest_answers

    def corrected_meanwhile(*asked: object) -> object:
        correction = replace(about("ann", 2.0, 5), received=NOON + 9 * MINUTE)
        scene.push(correction)
        return read(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(pending_by_user, "newest_answers", corrected_meanwhile)
    scene.settle(10)
    monkeypatch.undo()
    scene.settle(11)
    assert scene.clicks("mine") == {"mine": 2.0}


def test_it_is_still_there_after_a_crash(scene: Scene) -> None:
    scene.push(about("ann", 1.0, 5))
    scene.write(("ann", "mine", 1))
    with closing(FeedbackLedger(scene.url)) as after:
        after.settle("shop", scene.log, NOON + 10 * MINUTE)
    assert scene.clicks("mine") == {"mine": 1.0}


def test_only_so_many_may_wait(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_by_user, "MOST_WAITING", 3)
    assert scene.push(*(about(f"user-{number}", 1.0, 5) for number in range(3))) == 3
    with pytest.raises(NoRoomToWait, match=r"^3 pieces of feedback on shop wait") as told:
        scene.ledger.store([about("one-more", 1.0, 5), Feedback("shop", 1, "a", "clicks", 1.0)])
    assert followed(" for its log already: send these later") in str(told.value)
    assert scene.clicks("a") == {}, "all or none"
    assert scene.push(about("user-0", 2.0, 5)) == 1, "it takes no more room than before"
    scene.write(*((f"user-{number}", f"answer-{number}", 1) for number in range(3)))
    scene.ledger.settle("shop", scene.log, NOON + 10 * MINUTE)
    assert scene.push(about("one-more", 1.0, 5)) == 1


def test_another_products_places_are_not_taken(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_by_user, "MOST_WAITING", 3)
    others = [replace(about(f"user-{number}", 1.0, 0), product=f"other-{number % 2}") for number in range(6)]
    assert scene.push(*others) == 6
    assert scene.push(about("ann", 1.0, 0)) == 1


def test_odd_times_have_their_turn_and_keep_nobody_waiting(scene: Scene) -> None:
    """Of each look the days are bounded; what is about further ones is settled by a later look."""
    scene.write(("ann", "mine", 1), *((f"u-{day}", f"a-{day}", -day * 1440 - 1.0) for day in range(0, 80, 10)))
    old = [about(f"u-{day}", 1.0, -day * 1440.0) for day in range(0, 80, 10)]
    scene.push(about("ann", 1.0, 5), *old)
    scene.settle(10)
    assert scene.clicks("mine") == {"mine": 1.0}
    found = len(scene.clicks(*(f"a-{day}" for day in range(0, 80, 10))))
    assert 1 <= found < 8
    for minutes in (11, 12, 13):
        scene.settle(minutes)
    assert len(scene.clicks(*(f"a-{day}" for day in range(0, 80, 10)))) == 8
