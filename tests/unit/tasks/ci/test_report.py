"""The report is short, true, and fits into a comment whatever the specs hold."""

from typing import Any

import pytest

from tasks.ci.changed_specs import Fate
from tasks.ci.report import LONGEST, MARK, exit_code, to_document, to_markdown
from tasks.ci.spec_diff import Difference
from tasks.ci.trial import Gate, Outcome, Training, Trial
from tasks.data_validation.findings import Finding, Severity, ValidationReport
from tasks.data_validation.findings import Outcome as Ended

NASTY = "@all <script>alert(1)</script> | `x` \n/merge ![p](https://evil.example/p.png) "
ROW = dict.fromkeys(("metric", "result", "candidate", "champion", "limit", "rule", "reason"), "0.5")


def trial(number: int = 1, size: int = 1, **changes: Any) -> Trial:
    finding = Finding(NASTY, NASTY, Severity.CRITICAL, Ended.FAILED, NASTY, NASTY * size)
    usual: dict[str, Any] = {
        "spec": f"specs/p{number}.yaml",
        "product": f"p{number}",
        "fate": Fate.CHANGED,
        "outcome": Outcome.REFUSED_BY_GATE,
        "exit_code": 3,
        "problems": (NASTY * size,) * size,
        "notes": (NASTY * size,),
        "differences": (Difference("rollout.strategy", "canary", NASTY),) * size,
        "steps": (NASTY,) * size,
        "steps_diff": ("+ " + NASTY,) * size,
        "data": ValidationReport((finding,) * size, 10, "suite.json"),
        "training": Training(10, 100, 2, "x.Y", 0.1, (NASTY,)),
        "gate": Gate(False, (ROW | {"reason": NASTY},) * size, True, "the champion p v3"),
    }
    return Trial(**(usual | changes))


def test_it_says_what_matters_before_what_is_folded() -> None:
    written = to_markdown([trial(problems=("roc_auc 0.5 is below the floor 0.6",))], "main (0123)")
    head = written.partition("<details>")[0]
    assert written.startswith(f"{MARK}\n## Seatrial: 1 spec changed, 1 not")
    assert "refused by the gate" in head
    assert "is below the floor" in head
    assert "Held against the champion p v3." in head


def test_what_was_not_compared_is_said_plainly_and_not_in_a_fold() -> None:
    gate = Gate(True, (ROW,), False, "nothing was compared: no registry was named (--against)")
    written = to_markdown([trial(gate=gate, outcome=Outcome.PASSED, exit_code=0)], "")
    assert "nothing was compared: no registry was named" in written.partition("<details>")[0]


def test_no_spec_that_changed_is_a_report_too() -> None:
    assert "No spec changed against main" in to_markdown([], "main")


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 100), (20, 20), (100, 3), (1000, 1)])
def test_it_fits_into_a_comment_of_github(count: int, size: int) -> None:
    written = to_markdown([trial(number, size) for number in range(count)], NASTY)
    assert len(written) <= LONGEST < 65_536
    assert written.count("<details>") == written.count("</details>")
    assert "p0" in written
    assert ("Shortened" in written) == (count * size > 40)


@pytest.mark.parametrize("size", [1, 3])
def test_nothing_of_a_spec_or_of_data_is_markup_a_mention_or_an_order(size: int) -> None:
    written = to_markdown([trial(1, size)], NASTY)
    outside = "\n".join(written.split("```")[::2])
    assert "<script" not in outside.replace("\\<script", "")
    assert "@all" not in outside
    assert "https://" not in outside
    assert not any(line.startswith("/") for line in written.splitlines())
    assert written.count(MARK) == 1


def test_the_worst_thing_decides_how_it_ends() -> None:
    passed = trial(outcome=Outcome.PASSED, exit_code=0)
    refused, broken, unreachable = (trial(exit_code=code) for code in (3, 2, 5))
    assert exit_code([]) == exit_code([passed]) == 0
    assert exit_code([passed, refused]) == 3
    assert exit_code([refused, unreachable]) == 5
    assert exit_code([unreachable, broken, refused]) == 2


def test_as_json_parts_that_were_not_come_to_are_null() -> None:
    document = to_document([trial(data=None, training=None, gate=None)], None, 2)
    (spec,) = document["specs"]
    assert (document["base"], spec["data"], spec["training"], spec["gate"]) == (None, None, None, None)
