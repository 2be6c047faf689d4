"""Looking at a candidate under live traffic: from counters to a block of evidence and a verdict."""

from dataclasses import dataclass
from datetime import timedelta

from deployments.analysis.evidence import Block, Counts
from deployments.analysis.judge import bound_on_harm, judge
from deployments.analysis.readings import Reading
from deployments.analysis.verdict import Ruling, Verdict
from deployments.errors import TryAgain
from deployments.journals.protocol import Lease
from deployments.rollout.decide import Look
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Observe, Shift, Until
from deployments.targets.protocol import ReplicaState
from deployments.wiring import Doors
from tasks.rollouts.gathering import compared, gathered
from tasks.rollouts.keeping import PATIENCE
from tasks.rollouts.traffic import flows_as, shift


@dataclass(slots=True)
class Watcher:
    """Remembers between two looks what had been counted; begins anew with each split, and after a crash.

    What was counted while nobody looked is then left out: evidence is lost that way, but never made up.
    """

    split: Shift | None = None
    last: Reading | None = None
    looked_at: float = 0.0
    verdict: Verdict | None = None
    bare_since: float | None = None

    def begin(self, state: RolloutState, doors: Doors) -> None:
        """Take the first reading of the present split, if that is still to be done and the counters can be read."""
        if self.last is not None and self.split == state.split:
            return
        self.split, self.last, self.looked_at = state.split, None, doors.clock.monotonic()
        try:
            self.last = doors.metrics.read(state.product, state.section.analysis.ranges)
        except TryAgain:
            return

    def disregard(self, doors: Doors) -> None:
        """What passed since the look before was no healthy time: a pause, or a question."""
        self.looked_at = doors.clock.monotonic()

    def look(self, state: RolloutState, lease: Lease, doors: Doors) -> Look:
        """What was seen since the look before; the block of it is in the journal when this returns."""
        waited = timedelta(seconds=doors.clock.monotonic() - self.looked_at)
        self.looked_at = doors.clock.monotonic()
        healthy = min(waited, 2 * state.section.analysis.interval)
        try:
            trouble = self._keep_block(state, lease, doors)
        except TryAgain as error:
            trouble = f"nothing is known of the traffic: {error}"
        blocks = gathered(state, doors.journal)
        verdict = judge(blocks, state.section.analysis)
        trouble = trouble or _silence(state, blocks)
        if trouble and verdict.ruling is not Ruling.ROLL_BACK:
            verdict = Verdict(Ruling.HOLD, trouble, verdict.findings)
        bare = self._bare(state, doors) if verdict.ruling is Ruling.HOLD else None
        if bare:
            verdict = Verdict(Ruling.ROLL_BACK, bare, verdict.findings)
        self.verdict = verdict
        return Look(verdict, healthy, _bound(state, blocks), compared(state, blocks), _unwatched(state, doors))

    def _bare(self, state: RolloutState, doors: Doors) -> str | None:
        """Why nobody answers for the candidate, once that has lasted; None while it may pass, or is not known.

        What a gateway says to users for want of a server, the servers cannot count.
        """
        since, self.bare_since = self.bare_since, None
        if self.split is None or not self.split.asks(state.candidate):
            return None
        try:
            replicas = doors.target.replicas(state.product, state.candidate)
        except TryAgain:
            return None
        if any(each.state is ReplicaState.READY for each in replicas):
            return None
        self.bare_since = doors.clock.monotonic() if since is None else since
        if doors.clock.monotonic() - self.bare_since < PATIENCE.total_seconds():
            return None
        why = next((f" ({each.detail})" for each in replicas if each.detail), "")
        return f"no server of v{state.candidate} has been ready for {PATIENCE.total_seconds():g} s{why}"

    def _keep_block(self, state: RolloutState, lease: Lease, doors: Doors) -> str | None:
        """Write down what was counted; why it cannot be trusted, or None."""
        if self.split is None or state.former is None:
            return "the candidate has no traffic to be judged by"
        live = doors.router.read(state.product)
        if live is None or not flows_as(self.split, live):
            shift(state.product, self.split, doors)
            self.last = doors.metrics.read(state.product, state.section.analysis.ranges)
            return f"somebody else had changed the traffic to {live.weights if live else 'nothing'}: put right"
        reading = doors.metrics.read(state.product, state.section.analysis.ranges)
        if self.last is None:
            self.last = reading
            return "counting has just begun"
        reading = reading.carrying(self.last)
        counts, pairs = reading.since(self.last), reading.pairs_since(self.last)
        block = Block(
            start=self.last.at,
            end=reading.at,
            step=state.done,
            share=_share(self.split, state.candidate),
            stable=counts.get(state.former, Counts()),
            candidate=counts.get(state.candidate, Counts()),
            pairs=pairs,
        )
        self.last = reading
        if not block.stable.requests and not block.candidate.requests:
            return "no traffic"
        doors.journal.keep(state.rollout_id, block, lease)
        return None


def _share(split: Shift, candidate: int) -> float | None:
    """What the candidate should get of the split, 0–1; None where it gets nothing or all, or some by a match."""
    percent = split.weights.of(candidate)
    return None if split.matches or percent in {0, 100} else percent / 100


def _silence(state: RolloutState, blocks: tuple[Block, ...]) -> str | None:
    """An observation counts from the candidate's first good answer on: without one nothing is seen of it."""
    if not isinstance(state.step, Observe) or state.split is None or not state.split.asks(state.candidate):
        return None
    mine = [block for block in blocks if block.step == state.done and block.start >= state.started_at]
    asked, failed = sum(block.candidate.requests for block in mine), sum(block.candidate.errors for block in mine)
    if asked > failed or any(block.pairs.compared for block in mine):
        return None
    silent = f"v{state.candidate} has answered nothing at this step yet"
    return f"{silent}: {failed:,} of {asked:,} requests to it failed" if asked else silent


def _unwatched(state: RolloutState, doors: Doors) -> timedelta:
    """How long nobody looked: the platform was down, or its carrier asleep. A look that takes long is no such time."""
    away = doors.clock.now() - state.updated_at - state.section.analysis.interval - PATIENCE
    return max(away, timedelta(0))


def _bound(state: RolloutState, blocks: tuple[Block, ...]) -> float | None:
    """Only where the step asks for it: finding it takes as long as the verdict does."""
    if isinstance(state.step, Observe) and state.step.until is Until.BOUND:
        return bound_on_harm(blocks, state.section.analysis)
    return None
