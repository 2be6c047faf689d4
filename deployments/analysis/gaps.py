"""Requests with a key of which nobody knows whose they are, because the log of users has a gap.

All that goes badly among them may be one busy user's, whom chance sent to the candidate. So a part of the candidate's
requests since the gap began may go badly for nothing, whatever else the champion's do: as much as one party may have
behind the keys (`chosen_keys`). What goes beyond is no single user's, and proves harm as requests without a key do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deployments.analysis.evidence import Block, Counts


def allowed_for(blocks: Sequence[Block], part: float) -> Sequence[Block]:
    """`blocks`, oldest first, without what one party may have done to the candidate in a gap.

    The party may have sent the `part` (0-1) of its requests of unknown users, counted over all blocks so far: what is
    not used up is left for later blocks, as a user may come in bursts. What was predicted in a gap is left out.
    """
    return tuple(_allowed_for(blocks, part)) if any(block.unknown for block in blocks) else blocks


def _allowed_for(blocks: Sequence[Block], part: float) -> Iterator[Block]:
    for_failures = for_slowness = 0.0
    for block in blocks:
        if not block.unknown:
            yield block
            continue
        for_failures += part * block.unknown
        for_slowness += part * block.unknown
        bad, slow = _bad(block.candidate), sum(block.candidate.latency[1:])
        yield replace(block, candidate=_without(block.candidate, int(for_failures), int(for_slowness)))
        for_failures -= min(bad, int(for_failures))
        for_slowness -= min(slow, int(for_slowness))


def _bad(counts: Counts) -> int:
    return counts.errors + sum(counts.given_up)


def _without(counts: Counts, failures: int, slow: int) -> Counts:
    """So many failures, and so many slow answers, went well instead."""
    given_up = _without_last(counts.given_up, failures)
    errors = max(0, counts.errors - (failures - sum(counts.given_up) + sum(given_up)))
    latency = _without_last(counts.latency, slow)
    if latency:
        latency = (latency[0] + sum(counts.latency) - sum(latency), *latency[1:])
    return replace(counts, errors=errors, given_up=given_up, latency=latency, predictions={})


def _without_last(buckets: tuple[int, ...], number: int) -> tuple[int, ...]:
    """`number` are taken out, of the last bucket first."""
    left: list[int] = []
    for count in reversed(buckets):
        left.append(max(0, count - number))
        number -= count - left[-1]
    return tuple(left[::-1])
