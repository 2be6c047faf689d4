"""Users in the place of requests, and what is done where the gateway's log of them has gaps."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from deployments.analysis.evidence import Block, Counts
from deployments.analysis.judge import judge
from deployments.analysis.sample_ratio_mismatch import mismatch
from deployments.analysis.user_metrics import Outcome
from deployments.analysis.verdict import Ruling
from deployments.rollout.state import RolloutState
from deployments.spec import Strategy
from tasks.rollout_engine.takeover import begin
from tasks.rollout_engine.user_evidence import KnownUsers, Told
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

LOOK = timedelta(seconds=10)


class Looks:
    """Looks at a split of v1 and v2, every ten seconds."""

    def __init__(self, world: World) -> None:
        self.world, self.state = world, rollout(world)
        self.users, self.last = KnownUsers(), world.metrics.read(PRODUCT)
        self.users.begin(self.state, self.last, world.doors)

    def next(self, share: float | None = 0.5) -> Told:
        self.world.clock._now += LOOK
        self.world.clock._elapsed += LOOK.total_seconds()
        now = self.world.metrics.read(PRODUCT)
        counts = now.since(self.last)
        stable, candidate = (counts.get(version, Counts()) for version in (1, 2))
        block = Block(self.last.at, now.at, 3, share, stable, candidate)
        told = self.users.complete(block, self.state, (self.last, now), self.world.doors)
        self.last = now
        return told


def rollout(served: World) -> RolloutState:
    return begin(served.wish(2, Strategy.CANARY), served.doors)


def met(version: int, users: Sequence[int], *, each: int = 1, failed: bool = False) -> list[Outcome]:
    return [Outcome(version, f"user-{version}-{user}", failed) for user in users for _ in range(each)]


@pytest.fixture
def looks(served: World) -> Looks:
    return Looks(served)


def test_a_user_is_one_unit_whatever_he_asks_and_each_other_request_is_one(looks: Looks) -> None:
    looks.world.metrics.meet(PRODUCT, met(1, range(40), each=5))
    looks.world.metrics.meet(PRODUCT, met(2, [1], each=100, failed=True))
    looks.world.metrics.serve(PRODUCT, 2, requests=7, errors=2)
    told = looks.next()
    assert told.trouble == ""
    stable, candidate = told.block.stable, told.block.candidate
    assert (stable.requests, candidate.requests, candidate.errors) == (200, 107, 102)
    assert stable.units is not None
    assert candidate.units is not None
    assert (stable.units.count, candidate.units.count) == (40, 1 + 7)
    assert candidate.units.errors == pytest.approx(1 + 2)
    assert candidate.units.keyless == 7
    assert told.block.stretch is not None


def test_what_was_predicted_without_a_key_counts_beside_what_users_got(looks: Looks) -> None:
    ann = Outcome(2, "ann", predicted={"yes": 1.0})
    looks.world.metrics.meet(PRODUCT, [ann, ann, ann])
    looks.world.metrics.serve(PRODUCT, 2, requests=5, predictions={"no": 5})
    units = looks.next().block.candidate.units
    assert units is not None
    assert dict(units.predictions) == {"yes": 1.0, "no": 5}


def test_without_a_key_requests_are_the_units(looks: Looks) -> None:
    looks.world.metrics.serve(PRODUCT, 1, requests=50)
    told = looks.next()
    assert (told.trouble, told.block.stable.units, told.block.stretch) == ("", None, None)


def test_users_are_counted_only_where_chance_decides(looks: Looks) -> None:
    looks.world.metrics.meet(PRODUCT, met(2, range(40)))
    assert looks.next(share=None).block.candidate.units is None


def test_where_lines_are_lost_requests_are_compared_and_nothing_is_promoted(looks: Looks) -> None:
    for _ in range(3):
        looks.world.metrics.meet(PRODUCT, met(1, range(100)))
        assert looks.next().trouble == ""
    looks.world.metrics.lose(PRODUCT, met(2, range(100), failed=True))
    looks.next()
    told = looks.next()
    assert "log of users has gaps" in told.trouble
    assert told.block.stable.units is told.block.candidate.units is None
    looks.world.metrics.meet(PRODUCT, met(1, range(100)))
    after = looks.next()
    assert after.trouble == ""
    assert after.block.stable.units is not None
    assert after.block.stretch != told.block.stretch


def test_a_few_lines_that_are_late_are_no_loss(looks: Looks) -> None:
    looks.world.metrics.meet(PRODUCT, met(1, range(500)))
    looks.world.metrics.lose(PRODUCT, met(1, range(10)))
    assert [looks.next().trouble for _ in range(3)] == [""] * 3


def test_users_that_cannot_be_read_leave_the_requests(looks: Looks) -> None:
    now = looks.last
    looks.world.metrics.fail("no disk")
    told = looks.users.complete(
        Block(now.at, now.at, 3, 0.5, Counts(), Counts(50, 50)), looks.state, (now, now), looks.world.doors
    )
    assert "no disk" in told.trouble
    assert told.block.candidate == Counts(50, 50)
    looks.world.metrics.recover()
    assert "known again" in looks.next().trouble
    assert looks.next().trouble == ""


def test_what_a_gap_leaves_proves_nothing_for_the_candidate_later_nor_against_the_split(looks: Looks) -> None:
    """The requests of a gap may all be one user's."""
    rules = looks.state.section.analysis
    blocks = []
    for _ in range(60):
        looks.world.metrics.meet(PRODUCT, met(1, range(5)))
        looks.world.metrics.lose(PRODUCT, [*met(1, range(5), each=20), *met(2, [1], each=400)])
        blocks.append(looks.next(share=0.2).block)
    after = looks.next(share=0.2)
    assert after.trouble == ""
    blocks.append(after.block)
    assert judge(blocks, rules).ruling is Ruling.CONTINUE
    assert mismatch(blocks, rules.split_tolerance, rules.chosen_keys) is None


def test_few_lines_that_are_lost_again_and_again_promote_nobody_either(looks: Looks) -> None:
    """So few a look that the gap shows at every third one only."""
    rules, blocks, troubles = looks.state.section.analysis, [], []
    for _ in range(120):
        looks.world.metrics.lose(PRODUCT, [*met(1, range(4)), *met(2, range(4))])
        told = looks.next()
        blocks.append(told.block)
        troubles.append(told.trouble)
    assert judge(blocks, rules).ruling is Ruling.CONTINUE
    assert not any(block.trusted for block in blocks)
    first = next(number for number, trouble in enumerate(troubles) if trouble)
    assert all("gaps" in trouble for trouble in troubles[first:]), "until somebody is heard"
    looks.world.metrics.meet(PRODUCT, met(1, range(4)))
    after = looks.next()
    assert (after.trouble, after.block.trusted) == ("", True)


def test_harm_that_shows_in_a_gap_is_harm(looks: Looks) -> None:
    blocks = []
    for _ in range(5):
        looks.world.metrics.lose(PRODUCT, [*met(1, range(200)), *met(2, range(200), failed=True)])
        blocks.append(looks.next().block)
    assert judge(blocks, looks.state.section.analysis).ruling is Ruling.ROLL_BACK


def test_one_user_who_fails_in_a_gap_rolls_nobody_back(looks: Looks) -> None:
    """Two users of ten meet the candidate; one of them fails whatever he asks, and asks little."""
    blocks = []
    for _ in range(30):
        looks.world.metrics.lose(PRODUCT, [*met(1, range(5), each=20), *met(2, [0], each=3, failed=True)])
        looks.world.metrics.lose(PRODUCT, met(2, range(1, 5), each=10))
        looks.world.metrics.serve(PRODUCT, 2, requests=4)
        blocks.append(looks.next().block)
    assert [block.unknown for block in blocks] == [43] * 30
    rules = looks.state.section.analysis
    assert judge(blocks, rules).ruling is Ruling.CONTINUE
    as_requests = [replace(block, unknown=0) for block in blocks]
    assert judge(as_requests, rules).ruling is Ruling.ROLL_BACK, "the test can tell the difference"


def test_users_that_cannot_be_read_at_the_beginning_hide_no_harm(served: World) -> None:
    state, last = rollout(served), served.metrics.read(PRODUCT)
    served.metrics.fail("no disk")
    users = KnownUsers()
    users.begin(state, last, served.doors)
    harmed = Block(last.at, last.at, 3, 0.5, Counts(200), Counts(200, 200))
    told = users.complete(harmed, state, (last, last), served.doors)
    assert "no disk" in told.trouble
    assert judge([told.block], state.section.analysis).ruling is Ruling.ROLL_BACK
