"""Which line of the journal makes which event, and what stands in it."""

import json
from itertools import pairwise

import pytest

from deployments.event_delivery import catalogue
from deployments.event_delivery.catalogue import FIELDS, Occurrence, matches, occurrences
from deployments.journals.protocol import Event, Recorded
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from tests.unit.deployments.event_delivery.a_line import line


def made(*events: Event) -> list[Occurrence]:
    phases: dict[str, str] = {}

    def former(run: str, phase: str) -> str | None:
        before = phases.get(run)
        phases[run] = phase
        return before

    return [each for key, event in enumerate(events) for each in occurrences(Recorded(str(key), event), former)]


def test_each_change_of_phase_is_told_once_whichever_line_it_stands_in() -> None:
    phases = [*Phase, Phase.RUNNING]
    kinds = ["step.done", "rollout.judged", "rollout.given_up", "step.intended"]
    lines = [line(kinds[number % 4], phase=phase.value, reason="so") for number, phase in enumerate(phases)]
    lines = [each for each in lines for _ in range(2)]
    changes = [each.data for each in made(*lines) if each.type == catalogue.PHASE_CHANGED]
    assert [(each["former_phase"], each["phase"]) for each in changes] == [
        (None, phases[0].value),
        *[(before.value, after.value) for before, after in pairwise(phases)],
    ]


@pytest.mark.parametrize("verb", Verb)
def test_each_order_is_told_with_who_gave_it_and_why(verb: Verb) -> None:
    (told,) = made(line(f"order.{verb}", candidate=2, who="ann", said="lunch", reason="so"))
    assert told.type == catalogue.OBEYED
    assert (told.data["verb"], told.data["who"], told.data["said"]) == (verb, "ann", "lunch")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("order.declined", catalogue.DECLINED),
        ("rollout.judged", catalogue.JUDGED),
        ("gate.refused", catalogue.GATE_REFUSED),
        ("release.refused", catalogue.RUN_REFUSED),
        ("retry.refused", catalogue.RUN_REFUSED),
        ("rollback.failed", catalogue.RUN_FAILED),
        ("release.interrupted", catalogue.RUN_FAILED),
        ("run.interrupted", catalogue.RUN_FAILED),
        ("webhook.refused", catalogue.WEBHOOK_REFUSED),
        ("model.trained", None),
        ("gate.passed", None),
    ],
)
def test_verdicts_refusals_and_failures_are_told_and_nothing_else(kind: str, told: str | None) -> None:
    assert [each.type for each in made(line(kind, reason="so"))] == ([] if told is None else [told])


def test_every_event_has_its_fields_and_can_be_written_as_json_whatever_was_journalled() -> None:
    odd = {"ruling": float("nan"), "findings": [{"harm": float("inf")}], "why": "\ud800\0", "phase": "done"}
    for told in made(line("rollout.judged", **odd)):
        assert set(told.data) == {"product", "run", *FIELDS[told.type]}
        json.dumps(told.data, allow_nan=False)


def test_an_event_has_the_same_id_however_often_it_is_made_and_no_other_has_it() -> None:
    lines = [line("rollout.judged", phase="observing"), line("rollout.judged", seconds=1, phase="done")]
    ids = [each.id for each in made(*lines)]
    assert ids == [each.id for each in made(*lines)]
    assert len(set(ids)) == 4


def test_a_pattern_names_a_type_or_several() -> None:
    assert [kind for kind in FIELDS if matches("io.seatrial.*.refused", kind)] == [
        catalogue.GATE_REFUSED, catalogue.RUN_REFUSED, catalogue.WEBHOOK_REFUSED,
    ]  # fmt: skip
    assert not matches("io.seatrial.run", catalogue.RUN_REFUSED)
