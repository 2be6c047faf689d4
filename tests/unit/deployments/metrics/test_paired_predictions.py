from collections.abc import Mapping, Sequence

import pytest

from deployments.analysis.evidence import Pairs
from deployments.errors import PlatformUnreachable
from deployments.metrics import paired_predictions as module
from deployments.metrics.paired_predictions import PairJoiner
from tests.model_fleet import Fleet, RunningServer


class Truth:
    """Labels that come one by one."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked: list[int] = []

    def labels(self, product: str, request_ids: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(len(request_ids))
        return {each: self.known[each] for each in request_ids if each in self.known} if product == "shop" else {}


@pytest.fixture
def truth() -> Truth:
    return Truth()


def both(stable: RunningServer, candidate: RunningServer, request_id: str, *rows: tuple[float, float]) -> None:
    """What the gateway does with a mirrored request; the rows say what either version is to predict."""
    stable.ask(*(row[0] for row in rows), request_id=request_id, header="paired")
    candidate.ask(*(row[1] for row in rows), request_id=request_id, header="mirrored")


def joiner_of(fleet: Fleet, truth: Truth) -> PairJoiner:
    joiner = PairJoiner(fleet.servers, truth.labels)
    assert joiner.look("shop")[0] == Pairs()
    return joiner


@pytest.mark.parametrize(
    ("stable_says", "candidate_says", "disagreed"),
    [
        (100.0, 100.0, 0),
        (100.0, 100.9, 0),
        (100.0, 101.1, 1),
        (100.0, -100.0, 1),
        (0.0, 0.0, 0),
        (0.0, 1e-10, 0),
        (0.0, 0.1, 1),
    ],
)
def test_numbers_agree_within_one_percent(
    fleet: Fleet, truth: Truth, stable_says: float, candidate_says: float, disagreed: int
) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    joiner = joiner_of(fleet, truth)
    both(stable, candidate, "a", (stable_says, candidate_says))
    assert joiner.look("shop")[0] == Pairs(compared=1, disagreed=disagreed)


def test_labels_agree_only_when_they_are_the_same(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    joiner = joiner_of(fleet, truth)
    for request_id, row in {"a": (0, 0), "b": (0, 1), "c": (2, 2)}.items():
        both(stable, candidate, request_id, row)
    assert joiner.look("shop")[0] == Pairs(compared=3, disagreed=1)


def test_one_row_that_differs_makes_a_batch_differ(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    joiner = joiner_of(fleet, truth)
    both(stable, candidate, "a", (1, 1), (2, 2))
    both(stable, candidate, "b", (1, 1), (2, 3))
    assert joiner.look("shop")[0] == Pairs(compared=2, disagreed=1)


def test_halves_find_each_other_whichever_comes_first_and_over_several_looks(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    joiner = joiner_of(fleet, truth)
    stable.ask(1.0, request_id="a", header="paired")
    candidate.ask(1.0, request_id="b", header="mirrored")
    assert joiner.look("shop")[0] == Pairs()
    candidate.ask(1.0, request_id="a", header="mirrored")
    stable.ask(1.0, request_id="b", header="paired")
    assert joiner.look("shop")[0] == Pairs(compared=2)
    assert joiner.look("shop")[0] == Pairs(compared=2)


def test_halves_find_each_other_over_several_servers_of_a_version(fleet: Fleet, truth: Truth) -> None:
    stable, others = fleet.start(1), [fleet.start(2, "a.sock"), fleet.start(2, "b.sock")]
    joiner = joiner_of(fleet, truth)
    for number in range(10):
        both(stable, others[number % 2], f"id-{number}", (1.0, 1.0))
    assert joiner.look("shop")[0].compared == 10


def test_a_request_that_was_asked_twice_is_one_pair(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    joiner = joiner_of(fleet, truth)
    stable.ask(1.0, request_id="a", header="paired")
    both(stable, candidate, "a", (1.0, 1.0))
    stable.ask(1.0, request_id="a", header="paired")
    assert joiner.look("shop")[0] == Pairs(compared=1)


def test_a_failure_of_one_version_is_a_disagreement_and_of_both_no_pair(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    joiner = joiner_of(fleet, truth)
    both(stable, candidate, "a", (0, 99))
    both(stable, candidate, "b", (99, 99))
    truth.known["a"] = "no"
    assert joiner.look("shop")[0] == Pairs(compared=1, disagreed=1, only_stable_right=1)


@pytest.mark.parametrize(
    ("stable_says", "candidate_says", "label", "right"),
    [
        (0, 1, "no", (1, 0)),
        (0, 1, "yes", (0, 1)),
        (0, 1, "maybe", (0, 0)),
    ],
)
def test_a_label_settles_who_was_right(
    fleet: Fleet, truth: Truth, stable_says: int, candidate_says: int, label: str, right: tuple[int, int]
) -> None:
    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    joiner = joiner_of(fleet, truth)
    truth.known = {"a": label, "agreed": label}
    both(stable, candidate, "a", (stable_says, candidate_says))
    both(stable, candidate, "agreed", (0, 0))
    assert joiner.look("shop")[0] == Pairs(2, 1, *right)


@pytest.mark.parametrize(("label", "right"), [("1.4", (1, 0)), ("7", (0, 1)), ("4", (0, 0)), ("no number", (0, 0))])
def test_the_nearer_number_is_the_right_one(fleet: Fleet, truth: Truth, label: str, right: tuple[int, int]) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    joiner = joiner_of(fleet, truth)
    truth.known = {"a": label}
    both(stable, candidate, "a", (2.0, 6.0))
    assert joiner.look("shop")[0] == Pairs(1, 1, *right)


def test_a_label_that_comes_later_settles_once(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    joiner = joiner_of(fleet, truth)
    both(stable, candidate, "a", (0, 1))
    assert joiner.look("shop")[0] == Pairs(1, 1)
    truth.known["a"] = "yes"
    assert joiner.look("shop")[0] == Pairs(1, 1, only_candidate_right=1)
    truth.known["a"] = "no"
    assert joiner.look("shop")[0] == Pairs(1, 1, only_candidate_right=1)


def test_a_label_of_a_batch_settles_nothing(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    joiner = joiner_of(fleet, truth)
    truth.known["a"] = "no"
    both(stable, candidate, "a", (0, 1), (0, 0))
    assert joiner.look("shop")[0] == Pairs(1, 1)


def test_a_joiner_that_starts_anew_counts_no_pair_a_second_time(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    first = joiner_of(fleet, truth)
    both(stable, candidate, "a", (1.0, 2.0))
    counted, epoch = first.look("shop")
    after_a_crash = joiner_of(fleet, truth)
    both(stable, candidate, "b", (1.0, 2.0))
    again, another_epoch = after_a_crash.look("shop")
    assert (counted, again) == (Pairs(1, 1), Pairs(1, 1))
    assert epoch != another_epoch


def test_a_restarted_server_is_read_from_its_beginning(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    joiner = joiner_of(fleet, truth)
    both(stable, candidate, "a", (1.0, 1.0))
    assert joiner.look("shop")[0].compared == 1
    fleet.stop(candidate)
    assert joiner.look("shop")[0].compared == 1
    candidate = fleet.start(2)
    for name in "bcd":
        both(stable, candidate, name, (1.0, 1.0))
    assert joiner.look("shop")[0].compared == 4


def test_products_are_joined_apart(fleet: Fleet, truth: Truth) -> None:
    stable, candidate = fleet.start(1), fleet.start(2)
    joiner = joiner_of(fleet, truth)
    both(stable, candidate, "a", (1.0, 1.0))
    assert joiner.look("another")[0] == Pairs()
    assert joiner.look("shop")[0] == Pairs(compared=1)


def test_memory_and_the_work_of_a_look_are_bounded(fleet: Fleet, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_MOST_WAITING", 4), ("_PAGE", 2), ("_MOST_PAGES", 3), ("_LABELS_AT_ONCE", 2)):
        monkeypatch.setattr(module, name, value)
    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    joiner = joiner_of(fleet, truth)
    for number in range(10):
        stable.ask(0, request_id=f"lonely-{number}", header="paired")
    joiner.look("shop")
    assert len(joiner._joining["shop"].waiting) == 4
    for number in range(6):
        both(stable, candidate, f"id-{number}", (0, 1))
    for _ in range(4):
        joiner.look("shop")
    assert len(joiner._joining["shop"].disputed) == 4
    assert max(truth.asked) == 2
    truth.known = dict.fromkeys((f"id-{number}" for number in range(6)), "no")
    for _ in range(3):
        found = joiner.look("shop")[0]
    assert found == Pairs(6, 6, only_stable_right=4)


def test_labels_that_cannot_be_read_are_told_and_nothing_is_lost(fleet: Fleet, truth: Truth) -> None:
    def broken(_: str, __: Sequence[str]) -> Mapping[str, str]:
        raise PlatformUnreachable("the ledger does not answer")

    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    joiner = joiner_of(fleet, truth)
    joiner._labels = broken
    both(stable, candidate, "a", (0, 1))
    with pytest.raises(PlatformUnreachable):
        joiner.look("shop")
    joiner._labels = truth.labels
    truth.known["a"] = "no"
    assert joiner.look("shop")[0] == Pairs(1, 1, only_stable_right=1)
