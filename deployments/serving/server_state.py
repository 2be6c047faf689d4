"""What one model server is: a loaded model, its limits, and what it counts."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.caller_authentication import Admitted
from deployments.clock import Clock, SystemClock
from deployments.request_ids import Sealer
from deployments.serving.inference_log import InferenceLog
from deployments.serving.inference_request import Query
from deployments.serving.inflight_record import Remains
from deployments.serving.loaded_model import Model
from deployments.serving.mirror_headers import Marks
from deployments.serving.offload import Beside
from deployments.serving.predict_handler import Call
from deployments.serving.prediction_bins import Bins
from deployments.serving.prometheus_metrics import Answered, ServerMetrics, bucket_of
from deployments.serving.recent_by_user import KeyedAnswers, StickyKeys
from deployments.serving.recent_mirrored import RecentAnswers
from deployments.serving.request_limits import Limits
from deployments.serving.tracing import Spans
from deployments.serving.unknown_categories import UnknownCategories
from deployments.traffic import DEFAULT_KEY

# How often the time of a request passes without any answer, until the process is given up.
HOPELESS: Final = 2


@dataclass(slots=True)
class Service:
    """A loaded, warm model and how it is served; it counts since `began`, in `epoch`. `draining` changes once.

    `together` says that the model answers rows in company as it answers each alone, `sample` is something to ask it
    about, which takes at most `sample_seconds` as a rule. `keyed_predictions` are those of `predictions` that users
    with a key got. `asked` holds the predictions that are being answered, by their task. Answers are recorded in `log`,
    if there is one; the sticky key of a user comes where `keys` says. `load_seconds` is how long it took until the
    model was warm. `remains` is for the server that comes after this one dies. `marks` says which requests are copies
    or copied, where the headers do not, and `admitted` whose word that is. `sealer`, unless it is None, seals the ids
    of requests as clients get them.
    """

    model: Model
    version: str
    limits: Limits = field(default_factory=Limits)
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    predictions: dict[str, float] = field(default_factory=dict)
    keyed_predictions: dict[str, float] = field(default_factory=dict)
    keyed: KeyedAnswers = field(default_factory=KeyedAnswers)
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    clock: Clock = field(default_factory=SystemClock)
    draining: bool = False
    together: bool = False
    log: InferenceLog | None = None
    spans: Spans | None = None
    load_seconds: float = 0.0
    keys: StickyKeys = StickyKeys.of(DEFAULT_KEY, None)  # noqa: RUF009 - frozen
    marks: Marks = field(default_factory=dict)
    admitted: Admitted = field(default_factory=Admitted)
    sealer: Sealer | None = None
    sample: Query | None = None
    sample_seconds: float = 0.0
    remains: Remains | None = None
    asked: "dict[asyncio.Task[Any], Call]" = field(default_factory=dict)
    began: datetime = field(init=False)
    bins: Bins = field(init=False)
    beside: Beside = field(init=False)
    unknown: UnknownCategories = field(init=False)

    def __post_init__(self) -> None:
        self.beside = Beside(
            self.model,
            together=self.together,
            clock=self.clock,
            time=self.limits.time,
            sample=self.sample,
            sample_seconds=self.sample_seconds,
        )
        self.began = self.clock.now()
        if self.remains is not None:
            for kind, requests in self.remains.lost.items():
                getattr(self.metrics, kind).lose(requests)
        self.bins = Bins(self.model.description.classes)
        self.unknown = UnknownCategories(self.model.description)

    @property
    def ready(self) -> bool:
        """Whether users are to be sent here: not while it leaves, nor while the model lets everybody wait in vain."""
        return not self.draining and not self.beside.is_silent

    @property
    def beyond_hope(self) -> bool:
        """Whether the model hangs for so long that only a new process can help."""
        return self.beside.hangs_for >= HOPELESS

    def kind_of(self, call: Call) -> Answered:
        """Among which requests it counts."""
        if call.aside:
            return self.metrics.aside
        if call.mirrored:
            return self.metrics.copies
        return self.metrics.keyless if call.key is None else self.metrics.keyed

    def waiting(self) -> Mapping[str, Sequence[int]]:
        """How many requests of users, and copies, are being answered right now, by the bucket of their age."""
        now, buckets = self.clock.monotonic(), len(LATENCY_BOUNDS_MS) + 1
        ages = {"users": [0] * buckets, "copies": [0] * buckets}
        for call in (each for each in self.asked.values() if not each.aside):
            ages["copies" if call.mirrored else "users"][bucket_of(now - call.since)] += 1
        return ages
