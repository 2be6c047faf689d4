"""What users feel is what rolls back: the real engine and a real Envoy, with clients that do not wait for ever."""

from datetime import timedelta

import pytest

from benchmarks.harm import CASES, Case, measure
from deployments.rollout.state import Phase
from deployments.spec import AnalysisSection

RULES = AnalysisSection(interval=timedelta(seconds=2))
BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        # Whichever is proved first: that clients gave up, or that what they waited is slower.
        ("hangs on 40 %", "harm proved"),
        pytest.param("hangs on all, clients wait", "has answered nothing for", marks=pytest.mark.crash),
        pytest.param("resets 30 %", "errors", marks=pytest.mark.crash),
        pytest.param("dies of 2 %", "", marks=pytest.mark.crash),
    ],
)
def test_a_candidate_that_gives_users_no_answer_goes_within_a_minute(name: str, said: str) -> None:
    found = measure(BY_NAME[name], 6000, 150, RULES, to_its_end=True)
    assert found.state.phase is Phase.ROLLED_BACK, found.state.reason
    assert said in found.state.reason
    assert found.as_wanted


@pytest.mark.crash  # half a minute of traffic
def test_clients_that_are_as_impatient_with_the_champion_roll_nothing_back() -> None:
    (case,) = (each for each in CASES if not each.harmful)
    found = measure(Case(case.name, case.candidate, harmful=False, patience=case.patience), 4500, 150, RULES)
    assert found.failed > 20  # users did leave
    assert found.state.phase is Phase.DONE, found.state.reason
