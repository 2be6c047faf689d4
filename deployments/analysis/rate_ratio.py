"""Evidence that the candidate goes badly more often than so many times as often: "whose error was it?".

The e-process of Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022, arXiv 2011.03567),
for two versions. Of the k bad ones of a block, y are the candidate's, who had the share w of all. For a ratio r beyond
r0 the factor is

    (r / r0)^y · ((1 + w(r0 - 1)) / (1 + w(r - 1)))^k.

Its mean is at most 1 whenever the candidate's rate is at most r0 times the stable one's, whatever the rates are and
however they move from block to block (docs/statistics.md has the proof).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deployments.analysis.block_counts import Arms, Array, Starts
from deployments.analysis.changepoint_mixture import log_mixture, sums_since_each_start

# How many times beyond r0 the ratio may be: a mixture with equal weights.
BEYOND: Final = np.geomspace(1.1, 40, 8)


def log_e_above(arms: Arms, ratio: float) -> Array:
    """Logs of the e-values against "the candidate's rate is at most `ratio` times the stable one's", shape (kinds,).

    One kind of bad gives shape (1,). 0 where nothing bad, or nothing comparable, was seen. `ratio` is above 0.
    """
    own, bad, shrink = _parts(arms, ratio)
    lost = shrink @ bad if shrink.ndim == 2 else np.einsum("rbk,bk->rk", shrink, bad)
    return log_mean(np.outer(np.log(BEYOND), own.sum(axis=0)) - lost)


def log_e_ever_above(arms: Arms, ratio: float) -> Array:
    """As `log_e_above`, and quick to see a ratio that only rose after many blocks."""
    own, bad, shrink = _parts(arms, ratio)
    since = sums_since_each_start(own)
    logs = [
        np.log(by) * since - sums_since_each_start(_columns(each) * bad)
        for by, each in zip(BEYOND, shrink, strict=True)
    ]
    return log_mixture(log_mean(np.stack(logs)))


def log_e_in_each(arms: Arms, ratio: float, starts: Starts) -> Array:
    """As `log_e_above`, of each of the stretches that begin with the blocks `starts`; shape (stretches, kinds)."""
    own, bad, shrink = _parts(arms, ratio)
    won = np.add.reduceat(own, starts, axis=0)
    logs = [
        np.log(by) * won - np.add.reduceat(_columns(each) * bad, starts, axis=0)
        for by, each in zip(BEYOND, shrink, strict=True)
    ]
    return log_mean(np.stack(logs))


def _parts(arms: Arms, ratio: float) -> tuple[Array, Array, Array]:
    """Bad ones of the candidate and of both, (blocks, kinds), and what each bad one costs.

    The latter has shape (ratios bet on, blocks), or (ratios bet on, blocks, kinds) where the totals differ by kind.
    """
    total = arms.stable + arms.candidate
    share = np.divide(arms.candidate, total, out=np.zeros_like(total), where=total > 0)
    candidate_bad = _columns(arms.candidate_bad)
    both = _columns((share > 0) & (share < 1))
    bad = np.where(both, candidate_bad + _columns(arms.stable_bad), 0.0)
    own = np.where(both, candidate_bad, 0.0)
    shrink = np.log1p(np.multiply.outer(ratio * BEYOND - 1, share)) - np.log1p((ratio - 1) * share)
    return own, bad, shrink


def _columns(bad: NDArray[Any]) -> NDArray[Any]:
    return bad if bad.ndim == 2 else bad[:, None]


def log_mean(logs: Array) -> Array:
    """Logs of the means of e-values, over the first axis of `logs`: e-values again, whatever their dependence."""
    mean: Array = np.logaddexp.reduce(logs, axis=0) - np.log(len(logs))
    return mean
