"""Prefect cuts a table off at the right, without a bar to move it by: what matters stands first, or above it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect import artifacts

from deployments.analysis.verdict import Finding, Ruling, Verdict
from deployments.rollout.state import RolloutState
from tasks import prefect_artifacts
from tasks.evaluation import _in_words
from tasks.gate.rule_checks import Check, GateVerdict, rows_for_table
from tasks.markdown import code, plain
from tasks.run_context import Run

WORDS = "latency: slower than 20 ms were 100 % against 0.43 %; harm proved: e = 2e+12 of the 300 needed"
HARMFUL = Finding("latency_p95", 0.0043, 1.0, None, None, 2e12, 300.0, 1.0, 20.0, None, False, WORDS)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Prefect was given."""
    given: list[dict[str, Any]] = []
    for kind in ("table", "markdown", "link"):
        monkeypatch.setattr(artifacts, f"create_{kind}_artifact", lambda **what: given.append(what))
    return given


def test_what_was_seen_is_said_above_the_table_of_evidence(left: list[dict[str, Any]]) -> None:
    state = cast("RolloutState", SimpleNamespace(product="flights", candidate=3))
    verdict = Verdict(Ruling.ROLL_BACK, "harm is proved", (HARMFUL,))
    prefect_artifacts.leave_evidence(state, "observe v3 at 5 %", verdict)
    (table,) = left
    assert table["description"].splitlines() == [
        "**v3, observe v3 at 5 %: roll back.** harm is proved", "", rf"- {WORDS}"
    ]  # fmt: skip
    assert list(table["table"][0]) == ["metric", "stable", "candidate", "harm", "not worse"]


def test_every_link_says_what_is_there(left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    here = SimpleNamespace(url=lambda part: f"http://127.0.0.1/{part}")
    monkeypatch.setattr(prefect_artifacts, "read_addresses", lambda _: here)
    monkeypatch.setattr(prefect_artifacts, "current", lambda: SimpleNamespace(has_own_mlflow=True))
    prefect_artifacts.leave_links(cast("Run", SimpleNamespace(product="flights")), 3)
    assert [each["key"] for each in left] == ["flights-mlflow", "flights-gateway"]
    assert all(each["description"] for each in left)
    assert "/flights/invocations" in left[1]["description"]


def test_the_gate_says_why_not_above_its_table_and_its_results_stand_beside_the_metrics() -> None:
    failed = Check("mae", "at most 2", 3.5, None, 2.0, False, "mae 3.5 is above the ceiling 2")
    verdict = GateVerdict(False, (failed,))
    assert _in_words(verdict, "v2").splitlines() == [
        "**Not good enough**, held against v2", "", "- mae 3.5 is above the ceiling 2"
    ]  # fmt: skip
    assert list(rows_for_table(verdict)[0])[:2] == ["metric", "result"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("booked_at", r"booked\_at"),
        ("<b>a</b> & c", r"\<b\>a\</b\> \& c"),
        ("# a\nb", r"\# a\\nb"),
        ("[x](y) *z* `q` ~~s~~ | &#95;", r"\[x\](y) \*z\* \`q\` \~\~s\~\~ \| \&\#95;"),
    ],
)
def test_text_of_others_is_no_markup(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_code_is_one_piece() -> None:
    assert code("a`b\nc") == r"`a b\nc`"
