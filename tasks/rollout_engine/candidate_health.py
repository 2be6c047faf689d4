"""Whether those who are sent to a candidate get answers of it; each way to get none has a sign of its own.

Its servers are gone or not ready (`server_readiness`), fewer of the answers are its own than the split says
(`shortfall_check`), or requests wait for it and nothing comes (`stall`).
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from deployments import plurals
from deployments.analysis.evidence import Block
from deployments.errors import TryAgain
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Shift
from deployments.wiring import Doors
from tasks.rollout_engine.hung_requests import Silence, Waiting
from tasks.rollout_engine.server_readiness import Presence, restart_champion
from tasks.rollout_engine.shortfall_check import Answering, Seen, Split


class Counted(NamedTuple):
    """What was counted under `split` since the look before; `block` None: nothing that can be trusted.

    `nobody`: no request came to its end in that time. `healthy` is how long it was, `whole` whether no server's counts
    are missing or late in it. `evidence` is all that is known of both versions.
    """

    split: Shift | None
    block: Block | None
    nobody: bool
    healthy: timedelta
    whole: bool
    evidence: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a look says of the answers.

    `healthy` is the time that counts; `trouble` says why a look is a hold (empty: it is none), `lasting` why the
    candidate is given up (None: it is not). `silent`: it answered nothing.
    """

    healthy: timedelta
    trouble: str = ""
    lasting: str | None = None
    silent: bool = False


@dataclass(slots=True)
class CandidateAnswers:
    """Remembers what the looks said; `answering` is of the present split."""

    presence: Presence = field(default_factory=Presence)
    waiting: Waiting = field(default_factory=Waiting)
    silence: Silence = field(default_factory=Silence)
    answering: Answering | None = None

    def begin(self, split: Split | None) -> None:
        """Traffic is split anew; None: it is not known since when."""
        self.silence = Silence()
        self.answering = None if split is None else Answering(split)

    def look(self, state: RolloutState, counted: Counted, doors: Doors, *, again: bool) -> Answered:
        """What is to be said by now. With `again` a champion that has no servers any more gets new ones."""
        if counted.split is None or not counted.split.asks(state.candidate):
            self.waiting.forget()
            self.silence = Silence()
            return Answered(counted.healthy)
        block, seen = counted.block, self._share(counted)
        # Whoever gave up got none.
        own = 0 if block is None else block.candidate.requests - sum(block.candidate.given_up)
        answers = bool(own) and not seen.trouble
        hopeless = self._is_silent_for_long(block, doors.clock.monotonic()) and not answers
        problem, bare = self.presence.candidate(state, answers, doors, hopeless=hopeless)
        if again and (block is None or not block.stable.requests):
            problem = problem or _champion_again(state, counted.split, doors)
        stalled = self._stalled(state, counted.split, counted, doors)
        return Answered(seen.healthy, problem or seen.trouble, bare or stalled or seen.lost, seen.silent)

    def _is_silent_for_long(self, block: Block | None, now: float) -> bool:
        self.silence.look(now, block)
        split = None if self.answering is None else self.answering.split
        return split is not None and self.silence.lasts(now, split.share, split.tolerance or 0.0)

    def _share(self, counted: Counted) -> Seen:
        if counted.block is None or self.answering is None:
            return Seen(counted.healthy)
        return self.answering.look(counted.block, counted.healthy, counted.whole)

    def _stalled(self, state: RolloutState, split: Shift, counted: Counted, doors: Doors) -> str | None:
        """That the candidate keeps everybody waiting, once that has lasted; None while it does not, or is not known."""
        now, block = doors.clock.monotonic(), counted.block
        if not (counted.nobody if block is None else not block.candidate.requests):
            self.waiting.forget()
            return None
        try:
            in_flight = doors.router.in_flight(state.product, state.candidate)
        except TryAgain:
            self.waiting.forget()
            return None
        self.waiting.look(now, in_flight, block.stable.requests if block else 0)
        alone = split.weights.of(state.candidate) == 100
        lasting = self.waiting.lasts(now, counted.evidence, alone=alone)
        if lasting is None:
            return None
        return (
            f"v{state.candidate} has answered nothing for {lasting.total_seconds():.0f} s, "
            f"while at least {plurals.counted(self.waiting.fewest, 'request waits', 'requests wait')} for it"
        )


def _champion_again(state: RolloutState, split: Shift, doors: Doors) -> str:
    asked = state.former is not None and split.asks(state.former)
    return restart_champion(state, state.former, doors) if asked and state.former is not None else ""
