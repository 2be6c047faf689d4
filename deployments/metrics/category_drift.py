"""Whether users send categories that training never saw, and more of them than there were in training."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, Final

from deployments.analysis.counter_deltas import Source
from deployments.metrics.model_servers import Ask, ask_directly, collect_counts
from deployments.plurals import counted

# A share is a jump if it is surely above twice the usual one and two percent more than that; z of 99.9 %.
_Z: Final = 3.09
_TIMES, _MORE = 2.0, 0.02
_FEWEST_ROWS: Final = 50

Late = Mapping[str, Mapping[str, Any]]


def unknown_categories(servers: Mapping[int, Sequence[str]], ask: Ask = ask_directly) -> list[str]:
    """A sentence for each column of a version in which unknown categories jumped of late; servers that are silent pass.

    `servers` are addresses by version.
    """
    told = collect_counts(ask, servers, _of_late)
    found: dict[tuple[int, str], list[float]] = {}
    for version, late in told:
        for column, counts in late.items():
            sums = found.setdefault((version, column), [0, 0, 0.0])
            sums[0] += int(counts["unknown"])
            sums[1] += int(counts["rows"])
            sums[2] = float(counts["usual"])
    return [
        f"v{version}: column {column!r} holds a category that training never saw in {unknown:,.0f} of the last "
        f"{counted(int(rows), 'row')} ({unknown / rows:.0%}; {usual:.1%} of the held-out rows): "
        "see whether callers send what training read"
        for (version, column), (unknown, rows, usual) in sorted(found.items())
        if is_jump(int(unknown), int(rows), usual)
    ]


def is_jump(unknown: int, rows: int, usual: float) -> bool:
    """Whether a share of rows is surely more than it was in training: by the lower end of Wilson's interval."""
    if rows < _FEWEST_ROWS:
        return False
    share, z2 = unknown / rows, _Z * _Z
    middle = share + z2 / (2 * rows)
    spread = _Z * sqrt(share * (1 - share) / rows + z2 / (4 * rows * rows))
    return (middle - spread) / (1 + z2 / rows) > _TIMES * usual + _MORE


def _of_late(source: Source, told: Any) -> tuple[int, Late]:
    return source.version, told.get("unknown_categories", {})
