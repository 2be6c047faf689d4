"""Which evidence there is on a candidate."""

from collections.abc import Sequence

from deployments.analysis.evidence import Block
from deployments.analysis.split import mismatch
from deployments.journals.protocol import Journal
from deployments.rollout.state import RolloutState


def gathered(state: RolloutState, journal: Journal) -> tuple[Block, ...]:
    """All evidence on the candidate, oldest first: of the earlier rollouts that this one carries on, and its own."""
    return carried(state, journal) + own(state, journal)


def own(state: RolloutState, journal: Journal) -> tuple[Block, ...]:
    """What this rollout counted. A run that begins again under its old id counts afresh: it may have a new version."""
    return tuple(block for block in journal.evidence(state.rollout_id) if block.start >= state.started_at)


def carried(state: RolloutState, journal: Journal) -> tuple[Block, ...]:
    """What the rollouts counted that this one carries on, and those that they carried on.

    Only of the same two versions: the champion may have changed since. Left out is what was counted while the traffic
    was not split as configured, which compares nothing and would hold each retry for ever.
    """
    if state.carries is None:
        return ()
    known = {each.rollout_id: each for each in journal.rollouts(state.product) if each.rollout_id != state.rollout_id}
    found: tuple[Block, ...] = ()
    earlier = known.pop(state.carries, None)
    while earlier is not None:
        blocks = own(earlier, journal)
        if (earlier.candidate, earlier.former) == (state.candidate, state.former) and not mismatch(
            blocks, state.section.analysis.split_tolerance
        ):
            found = blocks + found
        earlier = known.pop(earlier.carries or "", None)
    return found


def compared(state: RolloutState, blocks: Sequence[Block]) -> int:
    """Pairs under a mirror; else requests of the version that has had fewer."""
    if state.split is not None and state.split.mirror:
        return sum(block.pairs.compared for block in blocks)
    return min(sum(block.stable.requests for block in blocks), sum(block.candidate.requests for block in blocks))
