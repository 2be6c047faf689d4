"""How long a harmful canary still meets users after the verdict on it is reached."""

from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.answers import Answers
from benchmarks.light_target import Behaviour
from benchmarks.rollouts import SECTION, carry, promotion
from benchmarks.stage import Stage, load
from deployments.analysis.judge import judge
from deployments.analysis.verdict import Ruling
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import CanarySection, CanaryStep, Strategy

RATE: Final = 400.0
_HARMS: Final = (Behaviour(errors=0.3), Behaviour(slow=1.0, slow_ms=100.0), Behaviour(errors=1.0))
_AIM_SECONDS: Final = 2.0


def measure(on: Stage, canaries: int, console: Console) -> bool:
    """Print the times of so many harmful canaries; whether the aim is reached, and nobody else's answers failed."""
    section = SECTION.model_copy(update={"replicas": 1, "canary": CanarySection(steps=(CanaryStep(weight=50),))})
    champion = carry(on, promotion(on, Strategy.ROLLING)).candidate
    ended: list[RolloutState] = []
    with load(on, RATE) as running:
        for number in range(canaries):
            wish = promotion(on, Strategy.CANARY, section)
            on.target.behaviours[wish.candidate] = _HARMS[number % len(_HARMS)]
            ended.append(carry(on, wish))
    assert running.answers is not None
    answers = running.answers
    seconds = np.array([_seconds_to_zero(on, state, answers) for state in ended])
    back = sum(_is_back_by_evidence(on, state) for state in ended)
    failed = answers.where(answers.version == champion).failed
    unanswered = int((answers.version == 0).sum())
    console.print(_table(seconds, back, failed, unanswered))
    return back == canaries and float(np.quantile(seconds, 0.99)) <= _AIM_SECONDS and not failed and not unanswered


def _seconds_to_zero(on: Stage, state: RolloutState, answers: Answers) -> float:
    """From the verdict to the last request that was sent and still answered by the canary; 0 if there was none."""
    sent = answers.sent[answers.version == state.candidate]
    return max(0.0, float(sent.max()) - on.journal.given_up[state.rollout_id])


def _is_back_by_evidence(on: Stage, state: RolloutState) -> bool:
    verdict = judge(on.journal.evidence(state.rollout_id), state.section.analysis)
    return state.phase is Phase.ROLLED_BACK and verdict.ruling is Ruling.ROLL_BACK


def _table(seconds: np.ndarray[tuple[int], np.dtype[np.float64]], back: int, failed: int, unanswered: int) -> Table:
    title = f"{len(seconds)} harmful canaries at 50 % of {RATE:g} requests/s: from the verdict to 0 % at the gateway"
    table = Table(title=title, title_justify="left")
    for column in ("p50", "p99", "longest", "rolled back", "the champion's failed", "answered by nobody"):
        table.add_column(column, justify="right")
    times = (f"{each:.2f} s" for each in np.quantile(seconds, [0.5, 0.99, 1.0]))
    table.add_row(*times, f"{back}", f"{failed}", f"{unanswered}")
    return table
