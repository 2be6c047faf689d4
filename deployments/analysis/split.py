"""Whether the requests were split as configured (sample ratio mismatch), tested before any comparison counts.

Requests with a sticky key come in lumps of a user each, so the odds of meeting the candidate may differ from the
configured ones by a tolerance, and only what is proved to lie beyond it is a mismatch: two one-sided tests. A tolerance
of 0 asks for the exact split, by two Beta mixtures around it, as in Lindon & Malek (NeurIPS 2022, arXiv 2011.03567).
Every configured share is tested by itself; the i-th gets alpha / (i (i + 1)), which adds up to alpha however many there
will be.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import betaln

from deployments.analysis import share
from deployments.analysis.evidence import Block
from deployments.analysis.weighed import percent

ALPHA: Final = 1e-3
_NEAR = 100.0  # how many requests' worth of belief there is in a small deviation
_STRAGGLERS: Final = 0.01  # of the requests may go elsewhere where a version has all or none


def mismatch(blocks: Sequence[Block], tolerance: float) -> str | None:
    """What is wrong with the split, in words; None while it looks as configured.

    `tolerance` is relative: with 1.0 the odds of meeting the candidate may be twice or half the configured ones. A
    chance of ALPHA that a split within it is ever called wrong, for requests that are independent of each other. Blocks
    without a share are not looked at.
    """
    for position, configured in enumerate(_configured(blocks)):
        chosen = [block for block in blocks if block.share == configured]
        candidate = sum(block.candidate.requests for block in chosen)
        total = candidate + sum(block.stable.requests for block in chosen)
        if log_e(candidate, total, configured, tolerance) >= math.log((position + 1) * (position + 2) / ALPHA):
            return (
                f"{candidate:,} of {total:,} requests ({percent(candidate / total)}) went to the candidate where "
                f"{percent(configured)} are configured: compare the gateway's routes with the plan"
            )
    return None


def log_e(candidate: int, total: int, configured: float, tolerance: float) -> float:
    """Log of the e-value against "each of `total` requests meets the candidate with a chance near `configured`"."""
    if configured <= 0:
        return share.log_e_above(candidate, total, _STRAGGLERS)
    if configured >= 1:
        return share.log_e_above(total - candidate, total, _STRAGGLERS)
    if not tolerance:
        return _log_e_exactly(candidate, total, configured)
    low, high = _with_odds(configured, 1 / (1 + tolerance)), _with_odds(configured, 1 + tolerance)
    sides = share.log_e_above(candidate, total, high), share.log_e_below(candidate, total, low)
    return float(np.logaddexp(*sides) - math.log(2))


def _with_odds(configured: float, factor: float) -> float:
    """The share whose odds are `factor` times those of `configured`."""
    return configured * factor / (1 - configured + configured * factor)


def _log_e_exactly(candidate: int, total: int, configured: float) -> float:
    stable = total - candidate
    near = _NEAR * configured, _NEAR * (1 - configured)
    logs = (betaln(candidate + a, stable + b) - betaln(a, b) for a, b in (near, (1.0, 1.0)))
    mixture = np.logaddexp(*logs) - math.log(2)
    return float(mixture - candidate * math.log(configured) - stable * math.log1p(-configured))


def _configured(blocks: Sequence[Block]) -> tuple[float, ...]:
    """The distinct shares in the order in which they came."""
    return tuple(dict.fromkeys(block.share for block in blocks if block.share is not None))
