"""Whether the requests were split as configured (sample ratio mismatch), tested before any candidate is promoted.

Requests without a key are drawn one by one. Sticky users come in lumps, so the odds of meeting the candidate may differ
from the configured ones by a tolerance, and only what is proved to lie beyond it is a mismatch: two one-sided tests. A
tolerance of 0 asks for the exact split, by two Beta mixtures around it, as in Lindon & Malek (NeurIPS 2022, arXiv
2011.03567).

Whoever sends a key may choose one: the preview header tells which of them meet the candidate. So where there are keys,
a part of the traffic may have gone to one version on purpose, and a mismatch must show in the users and in their
requests both: many invented keys are few requests, and a busy user is one user.

Every configured share, and every long stretch of users, is tested by itself; the i-th gets alpha / (i (i + 1)), which
adds up to alpha however many there will be.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import betaln

from deployments.analysis import proportion
from deployments.analysis.evidence import Block, Counts
from deployments.analysis.evidence_by_unit import split_into_parts
from deployments.analysis.metric_result import percent

ALPHA: Final = 1e-3
_NEAR = 100.0  # how many requests' worth of belief there is in a small deviation
_STRAGGLERS: Final = 0.01  # of the requests may go elsewhere where a version has all or none


def mismatch(blocks: Sequence[Block], tolerance: float, chosen: float = 0.0) -> str | None:
    """What is wrong with the split, in words; None while it looks as configured.

    `tolerance` is relative: with 1.0 the odds of meeting the candidate may be twice or half the configured ones.
    `chosen` (0-1) is the part of the traffic with keys that may go anywhere. A chance of ALPHA that a split within them
    is ever called wrong, for requests without a key that are independent of each other, and once more for users. Blocks
    without a share, and those that are not trusted anyway, are not looked at.
    """
    tested = [block for block in blocks if block.share is not None and block.trusted]
    return _of_requests(tested, tolerance) or _of_users(tested, tolerance, chosen)


def log_e(candidate: int, total: int, configured: float, tolerance: float, chosen: float = 0.0) -> float:
    """Log of the e-value against "each of `total` meets the candidate with a chance near `configured`".

    Of them the part `chosen` may be anywhere.
    """
    if configured <= 0:
        return proportion.log_e_above(candidate, total, _STRAGGLERS)
    if configured >= 1:
        return proportion.log_e_above(total - candidate, total, _STRAGGLERS)
    if not tolerance and not chosen:
        return _log_e_exactly(candidate, total, configured)
    low = (1 - chosen) * _with_odds(configured, 1 / (1 + tolerance))
    high = (1 - chosen) * _with_odds(configured, 1 + tolerance) + chosen
    sides = proportion.log_e_above(candidate, total, high), proportion.log_e_below(candidate, total, low)
    return float(np.logaddexp(*sides) - math.log(2))


def _of_requests(blocks: Sequence[Block], tolerance: float) -> str | None:
    """Of those that were sent without a key, where nobody can choose."""
    for position, configured in enumerate(dict.fromkeys(block.share for block in blocks)):
        counted = [
            (_without_key(block.candidate), _without_key(block.stable)) for block in blocks if block.share == configured
        ]
        candidate = sum(mine for mine, _ in counted)
        total = candidate + sum(others for _, others in counted)
        if log_e(candidate, total, configured or 0.0, tolerance) >= _log_needed(position):
            return _in_words(candidate, total, configured or 0.0, "requests")
    return None


def _of_users(blocks: Sequence[Block], tolerance: float, chosen: float) -> str | None:
    """In each long stretch, in which nobody counts twice: of the units, and of all their requests."""
    stretches = [part for part in split_into_parts(blocks, 0.0).whole if part.since is not None]
    for position, part in enumerate(stretches):
        configured = part.blocks[0].share or 0.0
        units = _sums([(_units(block.candidate), _units(block.stable)) for block in part.blocks])
        requests = _sums([(block.candidate.requests, block.stable.requests) for block in part.blocks])
        if all(log_e(*each, configured, tolerance, chosen) >= _log_needed(position) for each in (units, requests)):
            return _in_words(*units, configured, "users")
    return None


def _sums(counted: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of the candidate, and of both."""
    candidate = sum(mine for mine, _ in counted)
    return candidate, candidate + sum(others for _, others in counted)


def _without_key(counts: Counts) -> int:
    return counts.requests if counts.units is None else counts.units.keyless


def _units(counts: Counts) -> int:
    units = counts.long_units or counts.units
    return counts.requests if units is None else units.count


def _log_needed(position: int) -> float:
    return math.log((position + 1) * (position + 2) / ALPHA)


def _in_words(candidate: int, total: int, configured: float, unit: str) -> str:
    return (
        f"{candidate:,} of {total:,} {unit} ({percent(candidate / total)}) went to the candidate where "
        f"{percent(configured)} are configured: compare the gateway's routes with the plan"
    )


def _with_odds(configured: float, factor: float) -> float:
    """The share whose odds are `factor` times those of `configured`."""
    return configured * factor / (1 - configured + configured * factor)


def _log_e_exactly(candidate: int, total: int, configured: float) -> float:
    stable = total - candidate
    near = _NEAR * configured, _NEAR * (1 - configured)
    logs = (betaln(candidate + a, stable + b) - betaln(a, b) for a, b in (near, (1.0, 1.0)))
    mixture = np.logaddexp(*logs) - math.log(2)
    return float(mixture - candidate * math.log(configured) - stable * math.log1p(-configured))
