"""Whether a version gives fewer answers than its share of the split: then users who are sent to it get none.

For places where only servers count: what a gateway says for want of one (a server is cut off, gone, or hangs) is in
no count, and shows only as answers that are missing. One-sided, and only where each request is split on its own: among
`total` answers those of a healthy version are Binomial(total, share), whatever traffic does. What lies within a
`tolerance` of the odds is no shortfall: answers under way, attempts that a gateway repeats, others who ask a champion.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import binom

from deployments.analysis import proportion

# Chance that a version which answers all is ever said not to, over all looks of a rollout and all its splits.
ALPHA: Final = 1e-3
# Answers as few as these come by chance in so many looks of a version that answers all: such a look is no healthy time.
_RARE: Final = 0.02


def smallest_fair_share(share: float, tolerance: float) -> float:
    """The smallest share that is no shortfall: its odds are those of `share` (0-1), divided by 1 + `tolerance`."""
    return share / (1 + tolerance * (1 - share))


def is_short(candidate: float, total: float, share: float, tolerance: float) -> bool:
    """Whether fewer of the answers are the candidate's than is no shortfall, be it by chance."""
    return candidate < total * smallest_fair_share(share, tolerance)


def is_rare(candidate: int, total: int, share: float, tolerance: float) -> bool:
    """Whether chance would hardly leave the candidate so few of the answers. No proof: it is asked at every look."""
    return bool(binom.cdf(candidate, total, smallest_fair_share(share, tolerance)) <= _RARE)


def log_e(candidate: Sequence[int], total: Sequence[int], share: float, tolerance: float) -> float:
    """Log of the e-value against "the candidate gives its share of the answers", from the counts of each look.

    Anytime-valid, and quick to see a shortfall that begins after many healthy looks.
    """
    given, all_answers = np.array(candidate, np.float64), np.array(total, np.float64)
    return proportion.log_e_ever_above(all_answers - given, all_answers, 1 - smallest_fair_share(share, tolerance))


def is_proved(log_e: float, split: int) -> bool:
    """Whether that is proof under the rollout's `split`, counted from 1: all splits together keep to ALPHA."""
    return log_e >= math.log(split * (split + 1) / ALPHA)
