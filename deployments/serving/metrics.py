"""What the server counts, in Prometheus' text format."""

import bisect
from collections import Counter

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics:
    """Counts of one process, from its start on. Not for several threads: only the event loop touches it."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.rows = 0
        self.not_finite = 0
        self._codes: Counter[int] = Counter()
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def answered(self, code: int, seconds: float) -> None:
        """One more request was answered."""
        self._codes[code] += 1
        self._buckets[bisect.bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def as_text(self) -> str:
        """Everything counted so far, in exposition format 0.0.4."""
        lines = [
            *_head("seatrial_server_requests_total", "counter", "Requests answered, by HTTP code."),
            *(
                f'seatrial_server_requests_total{{code="{code}"}} {count}'
                for code, count in sorted(self._codes.items())
            ),
            *_head("seatrial_server_rows_total", "counter", "Rows predicted."),
            f"seatrial_server_rows_total {self.rows}",
            *_head("seatrial_server_not_finite_total", "counter", "Requests whose prediction was NaN or infinite."),
            f"seatrial_server_not_finite_total {self.not_finite}",
            *_head("seatrial_server_in_flight", "gauge", "Requests being answered right now."),
            f"seatrial_server_in_flight {self.in_flight}",
            *_head(
                "seatrial_server_request_seconds",
                "histogram",
                "Time from a request's headers to the end of its answer.",
            ),
            *self._histogram("seatrial_server_request_seconds"),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        lines, below = [], 0
        for bound, count in zip((*_BOUNDS, "+Inf"), self._buckets, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*lines, f"{name}_sum {self._seconds:.6f}", f"{name}_count {below}"]


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
