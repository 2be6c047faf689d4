"""Shares that whole pods can make: a version's share is that of its pods among all that serve."""

from collections.abc import Mapping

from deployments.traffic import PARTS, Weights, percent_of


def pods_for(weights: Weights, ready: Mapping[int, int]) -> Mapping[int, int] | None:
    """How many pods of each version serve, as many as possible; None where no number of pods makes these shares.

    `ready` are the pods that there are. A share of a third is 33.33 % or 33.34 %.
    """
    parts = {version: part for version, part in weights.parts.items() if part}
    for total in range(sum(ready.values()), 0, -1):
        pods = {version: round(part * total / PARTS) for version, part in parts.items()}
        exact = all(abs(pods[version] * PARTS - part * total) < total for version, part in parts.items())
        if exact and sum(pods.values()) == total and all(0 < pods[each] <= ready.get(each, 0) for each in pods):
            return pods
    return None


def weights_of(pods: Mapping[int, int], wanted: Weights | None) -> Weights | None:
    """The shares that so many pods make, as they were `wanted` if these are the same; None for no pod."""
    serving = {version: count for version, count in pods.items() if count}
    if not serving:
        return None
    if wanted is not None and pods_for(wanted, serving) == serving:
        return wanted
    total = sum(serving.values())
    parts = {version: count * PARTS // total for version, count in serving.items()}
    parts[max(parts)] += PARTS - sum(parts.values())
    return Weights.of_parts(parts)


def nearest(percent: float, replicas: int) -> tuple[float, ...]:
    """The shares next to `percent` that a candidate can have when either version has so many pods."""
    possible = {
        percent_of(round(candidate / (candidate + champion) * PARTS))
        for candidate in range(1, replicas + 1)
        for champion in range(1, replicas + 1)
    }
    below = max((each for each in possible if each <= percent), default=None)
    above = min((each for each in possible if each >= percent), default=None)
    return tuple(sorted({each for each in (below, above) if each is not None}))
