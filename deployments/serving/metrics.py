"""What the server counts, in Prometheus' text format."""

import bisect
from collections import Counter
from collections.abc import Mapping

import psutil

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics:
    """Counts of one process, from its start on. Not for several threads: only the event loop touches it."""

    def __init__(self) -> None:
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

    def as_text(self, in_flight: int = 0) -> str:
        """Everything counted so far, in exposition format 0.0.4, with how many requests are being answered."""
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
            f"seatrial_server_in_flight {in_flight}",
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


def predictions_as_text(predictions: Mapping[str, int]) -> str:
    """Rows by what was predicted for them: see `deployments.serving.predicted`."""
    lines = _head("seatrial_server_predictions_total", "counter", "Rows by predicted label, tenth or bin, for users.")
    for name, rows in sorted(predictions.items()):
        lines.append(f'seatrial_server_predictions_total{{predicted="{_escaped(name)}"}} {rows}')
    return "\n".join(lines) + "\n"


def process_as_text(product: str, version: str, compiled: str, load_seconds: float) -> str:
    """What the process is, how long it took to load its model, and what it takes of the machine."""
    process = psutil.Process()
    with process.oneshot():
        memory, times, created = process.memory_info().rss, process.cpu_times(), process.create_time()
    labels = f'product="{_escaped(product)}",version="{_escaped(version)}",compiled="{compiled}"'
    lines = [
        *_head("seatrial_server_info", "gauge", "What is served; `compiled` is how, empty for not."),
        f"seatrial_server_info{{{labels}}} 1",
        *_head("seatrial_server_load_seconds", "gauge", "Time from the start until the model was warm."),
        f"seatrial_server_load_seconds {load_seconds:.3f}",
        *_head("process_resident_memory_bytes", "gauge", "Resident memory."),
        f"process_resident_memory_bytes {memory}",
        *_head("process_cpu_seconds_total", "counter", "User and system time."),
        f"process_cpu_seconds_total {times.user + times.system:.2f}",
        *_head("process_start_time_seconds", "gauge", "Start, in seconds since 1970."),
        f"process_start_time_seconds {created:.2f}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
