"""How many users a harmful canary hurts before it is gone: 20,000 requests with each kind of harm, at 5 %.

    python -m benchmarks.harm [--requests 20000] [--rate 200]

The engine, the gateway, the journal and the metrics are the real ones, looks are those of the default analysis; only
the models are light. Clients wait a second unless it is said, and 3 of 4 requests carry the key of one of 2,000 users.
A user is hurt by the first request that is not answered with 200 in that time. The healthy candidate keeps 2 % of its
users waiting too long, and so does its champion. Everything listens on loopback and in a folder below /tmp; some
thirteen minutes. The exit code is 1 if a harmful candidate stays, a healthy one does not, or one has users for longer
than its case allows.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.answers import Answers
from benchmarks.light_target import Behaviour
from benchmarks.rollouts import SECTION, carry, promotion
from benchmarks.stage import Stage, load, stage
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import AnalysisSection, CanarySection, CanaryStep, Strategy

USERS: Final = 2_000
PERCENT: Final = 5
_FOR_EVER_MS: Final = 3_600_000.0
_IMPATIENT: Final = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """A candidate, and what is to become of it; `longest` is how many seconds a harmful one may have users.

    Clients give up after `patience` seconds; None: never.
    """

    name: str
    candidate: Behaviour
    harmful: bool = True
    longest: float = 60.0
    patience: float | None = 1.0


@dataclass(frozen=True, slots=True)
class Hurt:
    """What became of a case: `users` of `known` ones were hurt by `failed` requests, in the `seconds` it had users."""

    case: Case
    state: RolloutState
    known: int
    users: int
    failed: int
    seconds: float

    @property
    def as_wanted(self) -> bool:
        """Whether the harmful one went in time, and the healthy one stayed."""
        if not self.case.harmful:
            return self.state.phase is Phase.DONE
        return self.state.phase is Phase.ROLLED_BACK and self.seconds <= self.case.longest


CASES: Final = (
    Case("hangs on 40 %", Behaviour(slow=0.4, slow_ms=_FOR_EVER_MS)),
    Case("hangs on all", Behaviour(slow=1.0, slow_ms=_FOR_EVER_MS)),
    Case("hangs on all, clients wait", Behaviour(slow=1.0, slow_ms=_FOR_EVER_MS), patience=None),
    Case("resets 30 %", Behaviour(cut=0.3)),
    Case("dies of 2 %", Behaviour(die=0.02)),
    Case("leaks 2 MB a request", Behaviour(leak_mb=2)),
    Case("healthy, 2 % too slow for all", Behaviour(slow=_IMPATIENT, slow_ms=1500), harmful=False),
)


def main(requests: int, rate: float) -> int:
    """Measure each case and print them; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=140)
    found = [measure(case, requests, rate) for case in CASES]
    console.print(_table(found, requests, rate))
    return 0 if all(each.as_wanted for each in found) else 1


def measure(
    case: Case, requests: int, rate: float, rules: AnalysisSection | None = None, *, to_its_end: bool = False
) -> Hurt:
    """One canary under constant load, from its start until so many requests have been sent; or until it has ended."""
    seconds = timedelta(seconds=requests / rate)
    canary = CanarySection(steps=(CanaryStep(weight=PERCENT),), wait=0.8 * seconds)
    analysis = rules or AnalysisSection()
    if not case.harmful:
        # To prove that it is no worse would take hours at this weight; it is to stay as long as the load does.
        metrics = tuple(rule.model_copy(update={"prove": False}) for rule in analysis.metrics)
        analysis = analysis.model_copy(update={"metrics": metrics})
    section = SECTION.model_copy(update={"canary": canary, "analysis": analysis, "replicas": 1})
    with stage() as on:
        first = promotion(on, Strategy.ROLLING, section)
        on.target.behaviours[first.candidate] = Behaviour(slow=0.0 if case.harmful else _IMPATIENT, slow_ms=1500)
        carry(on, first)
        patience = () if case.patience is None else (str(case.patience),)
        with load(on, rate, str(USERS), *patience) as running:
            wish = promotion(on, Strategy.CANARY, section)
            on.target.behaviours[wish.candidate] = case.candidate
            state = carry(on, wish)
            while running.due < requests and not to_its_end:
                time.sleep(0.01)
        assert running.answers is not None
        return _hurt(case, on, state, running.answers)


def _hurt(case: Case, on: Stage, state: RolloutState, answers: Answers) -> Hurt:
    keyed = answers.where(answers.user >= 0)
    asked, gone = (times.get(state.rollout_id, 0.0) for times in (on.journal.asked, on.journal.given_up))
    hurt = np.unique(keyed.user[keyed.code != 200])
    return Hurt(case, state, len(np.unique(keyed.user)), len(hurt), answers.failed, max(0.0, gone - asked))


def _table(found: list[Hurt], requests: int, rate: float) -> Table:
    title = f"{requests:,} requests of {USERS:,} users at {rate:g}/s, a canary of {PERCENT} %, looks as by default"
    table = Table(title=title, title_justify="left")
    for column in ("candidate", "ended", "after", "requests failed", "users hurt", "of all"):
        table.add_column(column, justify="left" if column in {"candidate", "ended"} else "right")
    for each in found:
        phase = each.state.phase.value.replace("_", " ")
        ended = phase if each.as_wanted else f"[red]{phase}: {each.state.reason}"
        after = f"{each.seconds:.0f} s" if each.seconds else "–"
        share = f"{100 * each.users / each.known:.1f} %"
        table.add_row(each.case.name, ended, after, f"{each.failed:,}", f"{each.users:,}", share)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How many users a harmful canary hurts.")
    parser.add_argument("--requests", type=int, default=20_000, help="with each kind of harm")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    given = parser.parse_args()
    raise SystemExit(main(given.requests, given.rate))
