"""Drawings of the page, and the course of a rollout that they are made from."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.analysis.evidence import Block, Counts, Weighing, block_from_json, block_to_json
from deployments.journals.in_memory import InMemoryJournal
from deployments.spec import Strategy
from flows.entrypoints.control_service.page.course import MOST_STRETCHES, Course
from flows.entrypoints.control_service.page.svg import Point, Series, evidence_chart, log10, time_chart
from tests.unit.deployments.rollout.a_rollout import rollout
from tests.unit.tasks.rollout_engine.world import MINUTE, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def points(*values: float | None) -> list[Point]:
    return [Point(NOW + number * SECOND, value) for number, value in enumerate(values)]


def test_a_line_has_a_gap_where_nothing_was_measured() -> None:
    chart = time_chart("t", "s", [Series("v1", "champion", points(1, 2, None, 3, 4))], (NOW, NOW + 4 * SECOND), " %")
    assert [path.count("M") for _, path in chart.lines] == [1, 1]
    assert len(chart.lines) == 2


@pytest.mark.parametrize("values", [(), (None,), (0,), (0, 0), (1e-9, 1e-9), (1e12,), (100, 0, 100)])
def test_a_drawing_stays_in_its_box_whatever_the_values(values: tuple[float | None, ...]) -> None:
    chart = time_chart("t", "s", [Series("v1", "champion", points(*values))], (NOW, NOW), " ms")
    assert 2 <= len(chart.up) <= 6
    for tick in chart.up:
        assert chart.top <= tick.place <= chart.bottom
    for _, x, y in chart.dots:
        assert chart.left <= x <= chart.right
        assert chart.top <= y <= chart.bottom


@pytest.mark.parametrize("harm", [0.0, 1.0, 250.0, 400.0, 1e300, float("inf")])
@pytest.mark.parametrize("safe", [None, 0.0, 1.0, 1e300])
def test_both_boundaries_can_be_seen_however_strong_the_evidence_is(harm: float, safe: float | None) -> None:
    series = [Series("harm", "harm", points(0.0, log10(harm)))]
    if safe is not None:
        series.append(Series("safe", "safe", points(0.0, -log10(safe))))
    chart = evidence_chart("e", "s", series, (NOW, NOW + SECOND), (300.0, None if safe is None else 20.0))
    places = [each.place for each in chart.boundaries]
    assert len(places) == 1 + (safe is not None)
    assert chart.top < places[0] < chart.bottom - 20
    if safe is not None:
        assert places[0] + 20 < places[1] < chart.bottom
    last = {kind: y for kind, _, y in chart.dots}
    assert (last["harm"] <= places[0]) == (harm >= 300)


def test_a_proof_is_over_its_boundary_and_less_is_not() -> None:
    for harm, proved in ((250.0, False), (400.0, True)):
        series = [Series("harm", "harm", points(log10(harm)))]
        chart = evidence_chart("e", "s", series, (NOW, NOW + SECOND), (300.0, 20.0))
        assert (chart.dots[0][2] < chart.boundaries[0].place) == proved


def block(number: int, step: int = 3) -> Block:
    start = NOW + number * 10 * SECOND
    found = (Weighing("error_rate", number, 300.0, None, 20.0, None),)
    return Block(start, start + 10 * SECOND, step, 0.5, Counts(10, 1), Counts(20, 2), weighings=found)


class Read(InMemoryJournal):
    """Evidence without a rollout; `asked` are the first numbers that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        self.asked: list[int] = []

    def evidence(self, rollout_id: str, skip: int = 0) -> tuple[Block, ...]:
        self.asked.append(skip)
        return tuple(self.blocks[skip:])


def test_a_long_course_has_few_stretches_and_loses_no_request() -> None:
    journal, state = Read(), rollout()
    course = Course(state.rollout_id, state.started_at)
    for number in range(3000):
        journal.blocks.append(block(number, step=number // 1000))
        if number % 100 == 0:
            course.follow(state, journal)
    course.follow(state, journal)
    assert len(course.stretches) <= MOST_STRETCHES
    assert sum(each.candidate.requests for each in course.stretches) == course.candidate.requests == 60_000
    assert course.stable.errors == 3000
    assert {each.step for each in course.stretches} == {0, 1, 2}
    assert all(one.end == other.start for one, other in zip(course.stretches, course.stretches[1:], strict=False))
    assert course.weighings[0].harm == 2999
    assert course.rate() == pytest.approx(3)
    assert journal.asked[-1] == 2901, "what was read is not read again"


def test_what_a_look_found_is_kept_with_it_and_is_no_part_of_the_evidence() -> None:
    written = block_from_json(block_to_json(block(7)))
    assert written.weighings == block(7).weighings
    old = {name: value for name, value in block_to_json(block(7)).items() if name != "weighings"}
    assert block_from_json(old).weighings == ()
    assert block_from_json(old) == written


def test_each_look_of_a_rollout_writes_the_verdicts_strength(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run(world.wish(1))
    world.run(world.wish(2, Strategy.CANARY))
    blocks = world.journal.evidence("rollout-2")
    judged = [each for each in world.journal.events() if each.kind == "rollout.judged" and each.run == "rollout-2"]
    assert len(blocks) > 5
    for event in judged:
        recorded = {each["metric"]: (each["harm"], each["safe"]) for each in event.detail["findings"]}
        at = blocks[event.detail["blocks"] - 1]
        assert {each.metric: (each.harm, each.safe) for each in at.weighings} == recorded
    assert world.clock.now() - blocks[-1].end < 10 * MINUTE
