"""Which evidence there is on a candidate."""

from collections.abc import Sequence
from dataclasses import replace

from deployments.analysis.evidence import Block
from deployments.journals.protocol import Journal
from deployments.rollout.state import RolloutState
from deployments.spec import AnalysisSection


def gathered(state: RolloutState, journal: Journal) -> tuple[Block, ...]:
    """All evidence on the candidate, oldest first: of the earlier rollouts that this one carries on, and its own."""
    return carried(state, journal) + own(state, journal)


def own(state: RolloutState, journal: Journal) -> tuple[Block, ...]:
    """What this rollout counted. A run that begins again under its old id counts afresh: it may have a new version."""
    return tuple(block for block in journal.evidence(state.rollout_id) if block.start >= state.started_at)


def carried(state: RolloutState, journal: Journal) -> tuple[Block, ...]:
    """What the rollouts counted that this one carries on, and those that they carried on.

    Only of the same two versions: the champion may have changed since. What was counted while the traffic was not split
    as configured is not trusted: it proves nothing for the candidate and holds no retry, and harm in it is harm.
    """
    if state.carries is None:
        return ()
    known = {each.rollout_id: each for each in journal.rollouts(state.product) if each.rollout_id != state.rollout_id}
    found: tuple[Block, ...] = ()
    earlier = known.pop(state.carries, None)
    while earlier is not None:
        if (earlier.candidate, earlier.former) == (state.candidate, state.former):
            found = _as_trusted(own(earlier, journal), state.section.analysis) + found
        earlier = known.pop(earlier.carries or "", None)
    return found


def _as_trusted(blocks: tuple[Block, ...], rules: AnalysisSection) -> tuple[Block, ...]:
    from deployments.analysis.sample_ratio_mismatch import mismatch

    if not mismatch(blocks, rules.split_tolerance, rules.chosen_keys):
        return blocks
    return tuple(replace(block, trusted=False) for block in blocks)


def compared(state: RolloutState, blocks: Sequence[Block]) -> int:
    """Pairs under a mirror; else requests of the version that has had fewer."""
    if state.split is not None and state.split.mirror:
        return sum(block.pairs.compared for block in blocks)
    return min(sum(block.stable.requests for block in blocks), sum(block.candidate.requests for block in blocks))
