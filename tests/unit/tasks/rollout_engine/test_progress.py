"""What is told of an observation, and when."""

from dataclasses import replace

import pytest

from deployments.spec import Strategy
from tasks.rollout_engine.progress import what_is_new
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import World

SEEN = "errors: 1 of 52 against 2 of 448 (1.92 % against 0.45 %)"
FEW = f"{SEEN}; not yet proved not worse than 1 % more: about 1 more request"


@pytest.mark.parametrize(
    ("reason", "is_new"),
    [
        (FEW, False),
        (FEW.replace("52", "1,204").replace("0.45", "5e-05").replace("1 more request", "2,900 more requests"), False),
        (FEW.replace("about 1 more request", "how many more cannot be told yet"), True),
        (f"{SEEN}; proved not worse than 1 % more", True),
        ("no traffic", True),
    ],
)
def test_other_words_are_news_and_other_numbers_are_not(served: World, reason: str, is_new: bool) -> None:
    state = begin(served.wish(2, Strategy.CANARY), served.doors)
    assert (what_is_new(replace(state, reason=FEW), ()) != what_is_new(replace(state, reason=reason), ())) is is_new
