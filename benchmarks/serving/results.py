"""What was found, round by round, and the medians of it."""

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ALONE = "scikit-learn in a loop"


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one way to ask for one model with so many rows. None: not measured in this round."""

    round: int
    model: str
    way: str
    rows: int
    cpu_ms: float
    rest_cpu_ms: float = 0.0
    requests_a_second: float | None = None
    offered: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a server: how long, and what it held after all that was asked of it, in megabytes.

    `rest` is what runs beside the serving processes and is not counted to requests; `idle_percent` is of one core.
    """

    round: int
    model: str
    entrant: str
    seconds: float
    pss_mb: float
    rss_mb: float
    processes: int
    rest_pss_mb: float
    rest_idle_percent: float | None


@dataclass(slots=True)
class Results:
    """All of one run. `failed` says of an entrant what was seen when it could not be measured."""

    conditions: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def median(self, model: str, way: str, rows: int, of: Callable[[Sample], float | None]) -> float | None:
        """The median of the rounds in which it was measured."""
        return _median(
            of(sample) for sample in self.samples if (sample.model, sample.way, sample.rows) == (model, way, rows)
        )

    def median_start(self, entrant: str, of: Callable[[Start], float | None], model: str | None = None) -> float | None:
        """The median of its starts, of one model or of all."""
        return _median(of(each) for each in self.starts if each.entrant == entrant and model in (None, each.model))

    def cases(self) -> list[tuple[str, int]]:
        """Models and rows that were measured, in order."""
        return list(dict.fromkeys((sample.model, sample.rows) for sample in sorted(self.samples, key=_place)))


def read(path: Path) -> Results:
    """What `Results.write` wrote."""
    document: dict[str, Any] = json.loads(path.read_text())
    samples = [Sample(**each) for each in document["samples"]]
    starts = [Start(**each) for each in document["starts"]]
    return Results(document["conditions"], samples, starts, document["failed"])


def _place(sample: Sample) -> tuple[int, int]:
    from benchmarks.serving.models import MODELS

    return MODELS.index(sample.model), sample.rows


def _median(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
