"""What the server counts, in Prometheus' text format."""

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import psutil

from deployments.analysis.evidence import LATENCY_BOUNDS_MS

# What a request is counted under whose client went away before its answer.
CLIENT_GONE: Final = 499
# The same after it was counted as slower than every bound: an error, whatever a rollout thinks of the impatient.
LEFT_LATE: Final = 504
# What a request is counted under that the server before this one took along when it died.
SERVER_DIED: Final = 502
_BOUNDS: Final = tuple(bound / 1000 for bound in LATENCY_BOUNDS_MS)
_REQUESTS: Final = "seatrial_server_requests_total"
_SECONDS: Final = "seatrial_server_request_seconds"
_GIVEN_UP: Final = "seatrial_server_given_up_seconds"
# From when on it is certain that a request is slower than every bound.
LATE_SECONDS: Final = _BOUNDS[-1]
# As the system's clock is set, the start of a process moves; to whoever scrapes us it must not.
_STARTED: Final = psutil.Process().create_time()


def bucket_of(seconds: float) -> int:
    """Number of the bucket of `LATENCY_BOUNDS_MS` that a time falls into."""
    return bisect.bisect_left(_BOUNDS, seconds)


class Answered:
    """What became of requests of one kind.

    How long an answer took is counted only where there was one; how long its client waited in vain, only where there
    was none.
    """

    def __init__(self) -> None:
        self._codes: Counter[int] = Counter()
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._given_up = [0] * (len(_BOUNDS) + 1)
        self._seconds = self._seconds_given_up = 0.0
        self._lost = 0

    def lose(self, requests: int) -> None:
        """So many were being answered when the server before this one died (`deployments.serving.inflight_record`)."""
        if requests:
            self._lost += requests
            self._codes[SERVER_DIED] += requests

    def add(self, code: int, seconds: float, late: bool = False) -> None:
        """One more request came to its end; `late`: it was slow already while it was being answered."""
        self._codes[code] += 1
        if code != CLIENT_GONE:
            self._seconds += seconds
            if not late:
                self._buckets[bucket_of(seconds)] += 1

    def give_up(self, seconds: float, late: bool = False) -> None:
        """The client of one went away before the answer, when it had waited for so long."""
        if late:
            self.add(LEFT_LATE, seconds, late)
            return
        self._codes[CLIENT_GONE] += 1
        self._seconds_given_up += seconds
        self._given_up[bucket_of(seconds)] += 1

    def grow_late(self) -> None:
        """One that is still being answered has taken longer than the last bound: that much is known of it."""
        self._buckets[-1] += 1

    def __add__(self, other: "Answered") -> "Answered":
        both = Answered()
        both._codes = self._codes + other._codes
        both._buckets = [one + more for one, more in zip(self._buckets, other._buckets, strict=True)]
        both._given_up = [one + more for one, more in zip(self._given_up, other._given_up, strict=True)]
        both._lost = self._lost + other._lost
        both._seconds = self._seconds + other._seconds
        both._seconds_given_up = self._seconds_given_up + other._seconds_given_up
        return both

    def told(self) -> Mapping[str, object]:
        """The same as `deployments.analysis.evidence.Counts` says it; errors are answers with 5xx."""
        errors = sum(count for code, count in self._codes.items() if code >= 500)
        return {
            "requests": sum(self._buckets) + sum(self._given_up) + self._lost,
            "errors": errors,
            "latency": self._buckets,
            "given_up": self._given_up,
        }

    def codes(self, labels: str) -> Iterator[str]:
        """Lines of requests by code, with further `labels`."""
        for code, count in sorted(self._codes.items()):
            yield f'{_REQUESTS}{{code="{code}",{labels}}} {count}'

    def histogram(self, labels: str) -> Iterator[str]:
        """Lines of the histogram of time."""
        return _histogram(_SECONDS, labels, self._buckets, self._seconds)

    def given_up(self, labels: str) -> Iterator[str]:
        """Lines of the histogram of time that was waited in vain."""
        return _histogram(_GIVEN_UP, labels, self._given_up, self._seconds_given_up)


def _histogram(name: str, labels: str, buckets: Sequence[int], seconds: float) -> Iterator[str]:
    below = 0
    for bound, count in zip((*_BOUNDS, "+Inf"), buckets, strict=True):
        below += count
        yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
    yield f"{name}_sum{{{labels}}} {seconds:.6f}"
    yield f"{name}_count{{{labels}}} {below}"


class ServerMetrics:
    """Counts of one process, from its start on. Not for several threads: only the event loop touches it.

    `copies` are requests whose answers nobody gets, `aside` stands who chose the version, or is a run; users asked all
    others, those with a sticky key the `keyed` ones.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.not_finite = 0
        self.keyless = Answered()
        self.keyed = Answered()
        self.copies = Answered()
        self.aside = Answered()

    @property
    def users(self) -> Answered:
        """All that users asked."""
        return self.keyless + self.keyed

    def as_text(self, in_flight: int = 0) -> str:
        """Everything counted so far, in exposition format 0.0.4, with how many requests are being answered."""
        kinds = (('mirrored="false"', self.users), ('mirrored="true"', self.copies))
        lines = [
            *_head(
                _REQUESTS, "counter", "Requests, by HTTP code (499 and 504: the client went away) and whether a copy."
            ),
            *(line for labels, kind in kinds for line in kind.codes(labels)),
            *self.aside.codes('mirrored="aside"'),
            *_head("seatrial_server_rows_total", "counter", "Rows predicted."),
            f"seatrial_server_rows_total {self.rows}",
            *_head("seatrial_server_not_finite_total", "counter", "Requests whose prediction was NaN or infinite."),
            f"seatrial_server_not_finite_total {self.not_finite}",
            *_head("seatrial_server_in_flight", "gauge", "Requests being answered right now."),
            f"seatrial_server_in_flight {in_flight}",
            *_head(_SECONDS, "histogram", "Time from a request's headers to the end of its answer."),
            *(line for labels, kind in kinds for line in kind.histogram(labels)),
            *_head(_GIVEN_UP, "histogram", "Age of requests whose client went away before the answer."),
            *(line for labels, kind in kinds for line in kind.given_up(labels)),
        ]
        return "\n".join(lines) + "\n"


def predictions_as_text(predictions: Mapping[str, float]) -> str:
    """Requests by what was predicted: see `deployments.serving.prediction_bins`. The rows of one share in it."""
    lines = _head("seatrial_server_predicted_total", "counter", "Requests by predicted label, tenth or bin, for users.")
    for name, requests in sorted(predictions.items()):
        lines.append(f'seatrial_server_predicted_total{{predicted="{_escaped(name)}"}} {float(requests)!r}')
    return "\n".join(lines) + "\n"


def process_as_text(product: str, version: str, compiled: str, load_seconds: float) -> str:
    """What the process is, how long it took to load its model, and what it takes of the machine."""
    process = psutil.Process()
    with process.oneshot():
        memory, times = process.memory_info().rss, process.cpu_times()
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
        f"process_start_time_seconds {_STARTED:.2f}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
