"""Looking at a candidate under live traffic: from counters to a block of evidence and a verdict."""

from dataclasses import dataclass
from datetime import timedelta

from deployments.analysis.evidence import Block, Counts
from deployments.analysis.judge import bound_on_harm, judge
from deployments.analysis.readings import Reading
from deployments.analysis.verdict import Ruling, Verdict
from deployments.errors import TryAgain
from deployments.rollout.decide import Look
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Observe, Shift, Until
from deployments.targets.protocol import ReplicaState
from deployments.wiring import Doors
from tasks.rollouts.gathering import compared, gathered
from tasks.rollouts.keeping import PATIENCE
from tasks.rollouts.retreat import given_back
from tasks.rollouts.traffic import flows_as, shift


@dataclass(slots=True)
class Watcher:
    """Remembers between two looks what had been counted; begins anew with each split, and after a crash.

    What was counted while nobody looked is then left out: evidence is lost that way, but never made up. All `evidence`
    is read once, for only whoever carries the rollout adds to it; None: not yet. `unwritten` is what the journal has
    not got yet; `gone` says why the candidate's users were given back behind the journal's back, None: they were not.
    """

    split: Shift | None = None
    last: Reading | None = None
    looked_at: float = 0.0
    verdict: Verdict | None = None
    evidence: tuple[Block, ...] | None = None
    bare_since: float | None = None
    unwritten: tuple[Block, ...] = ()
    gone: str | None = None

    def begin(self, state: RolloutState, doors: Doors) -> None:
        """Take the first reading of the present split, if that is still to be done and the counters can be read."""
        if self.last is not None and self.split == state.split:
            return
        self.split, self.last, self.looked_at = state.split, None, doors.clock.monotonic()
        try:
            self.last = _reading(state, doors)
        except TryAgain:
            return

    def disregard(self, doors: Doors) -> None:
        """What passed since the look before was no healthy time: a pause, or a question."""
        self.looked_at = doors.clock.monotonic()

    def look(self, state: RolloutState, doors: Doors, *, written: bool = True) -> Look:
        """What was seen since the look before; the block of it is to be saved with what follows from it.

        Unless `written` the journal is away: what was read of it is all that there is beside what was seen since, and
        traffic that does not flow as the plan says is left as it is.
        """
        waited = timedelta(seconds=doors.clock.monotonic() - self.looked_at)
        self.looked_at = doors.clock.monotonic()
        healthy = min(waited, 2 * state.section.analysis.interval)
        if self.evidence is None and written:
            read = gathered(state, doors.journal)
            self.evidence = (*read, *(each for each in self.unwritten if each not in read))
        try:
            block, trouble = self._counted(state, doors, uphold=written)
        except TryAgain as error:
            block, trouble = None, f"nothing is known of the traffic: {error}"
        blocks = self._with(block)
        verdict = judge(blocks, state.section.analysis)
        trouble = trouble or _silence(state, blocks) or ""
        if trouble and verdict.ruling is not Ruling.ROLL_BACK:
            verdict = Verdict(Ruling.HOLD, trouble, verdict.findings)
        self.verdict = verdict
        bare = self.gone or self._bare(state, verdict, doors)
        unwatched = _unwatched(state, doors)
        return Look(verdict, healthy, _bound(state, blocks), compared(state, blocks), unwatched, block, bare)

    def _with(self, block: Block | None) -> tuple[Block, ...]:
        """All evidence that is known, the newest `block` included."""
        new = () if block is None else (block,)
        self.unwritten = (*self.unwritten, *new)
        if self.evidence is None:
            return self.unwritten
        self.evidence = (*self.evidence, *new)
        return self.evidence

    def _bare(self, state: RolloutState, verdict: Verdict, doors: Doors) -> str | None:
        """Why nobody answers for the candidate, once that has lasted; None while it may pass, or is not known.

        Only of a hold: otherwise its answers are counted.

        What a gateway says to users for want of a server, the servers cannot count.
        """
        since, self.bare_since = self.bare_since, None
        if verdict.ruling is not Ruling.HOLD or self.split is None or not self.split.asks(state.candidate):
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

    def _counted(self, state: RolloutState, doors: Doors, *, uphold: bool) -> tuple[Block | None, str]:
        """What was counted; or None, and why it cannot be trusted."""
        self.gone = None
        if self.split is None or state.former is None:
            return None, "the candidate has no traffic to be judged by"
        live = doors.router.read(state.product)
        if live is None or not flows_as(self.split, live):
            self.gone = given_back(state, doors)
            if self.gone or not uphold:
                self.last = None
                return None, f"the traffic flows as {live or 'nothing'}"
            shift(state.product, self.split, doors)
            self.last = _reading(state, doors)
            return None, f"somebody else had changed the traffic to {live or 'nothing'}: put right"
        reading = _reading(state, doors)
        if self.last is None:
            self.last = reading
            return None, "counting has just begun"
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
            return None, reading.missing or "no traffic"
        return block, reading.missing


def _reading(state: RolloutState, doors: Doors) -> Reading:
    """Pairs only where requests are mirrored: there are none elsewhere, and every server would have to be asked."""
    paired = state.split is not None and state.split.mirror is not None
    return doors.metrics.read(state.product, state.section.analysis.ranges, paired=paired)


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
