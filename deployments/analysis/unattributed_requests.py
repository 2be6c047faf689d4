"""Requests with a key of which nobody knows whose they are, because the log of users has a gap.

All that goes badly among them may be one busy user's, whom chance sent to the candidate. So a part of the candidate's
requests since counting began may go badly for nothing, whatever the champion's do: as many as one party may have behind
the keys (`chosen_keys`). What goes beyond is no single user's, and proves harm as requests without a key do.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deployments.analysis.block_counts import Arms
from deployments.analysis.evidence import Block


def with_gap_harm(arms: Arms, blocks: Sequence[Block], part: float) -> Arms:
    """`arms`, whose rows are `blocks`, with what goes badly in gaps beyond the `part` (0-1) that may, of each kind.

    The part is one of all requests so far: a user may come in bursts. Not more is counted up to any block than went
    badly for all others, if one user sent at most that part of them.
    """
    unknown = np.array([block.unknown for block in blocks], np.float64)
    gap = unknown > 0
    if not gap.any():
        return arms
    bad = arms.candidate_bad[gap]
    allowance = np.cumsum(part * unknown[gap])
    beyond = np.cumsum(bad, axis=0) - (allowance if bad.ndim == 1 else allowance[:, None])
    most = np.maximum.accumulate(np.maximum(beyond, 0), axis=0)
    counted = arms.candidate_bad.astype(np.float64)
    counted[gap] = np.diff(most, axis=0, prepend=np.zeros_like(most[:1]))
    return replace(arms, candidate_bad=counted)


def outside(blocks: Sequence[Block]) -> Sequence[Block]:
    """Those whose requests are known to be of one user each."""
    return [block for block in blocks if not block.unknown]
