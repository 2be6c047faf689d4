"""What one model server is: a loaded model, its limits, and what it counts."""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deployments.clock import Clock, SystemClock
from deployments.serving.inference_log import InferenceLog
from deployments.serving.limits import Limits
from deployments.serving.marks import Marks
from deployments.serving.metrics import ServerMetrics
from deployments.serving.model import Model
from deployments.serving.predicted import Bins
from deployments.serving.recent import RecentAnswers
from deployments.serving.tracing import Spans
from deployments.traffic import DEFAULT_KEY


@dataclass(slots=True)
class Service:
    """A loaded, warm model and how it is served; it counts since `began`, in `epoch`. `draining` changes once.

    `together` says that the model answers rows in company as it answers each alone. `asked` holds when each prediction
    that is being answered came in, on the monotonic clock. Answers are recorded in `log`, if there is one; the sticky
    key of a user comes in the header `key_header`. `load_seconds` is how long it took until the model was warm. `marks`
    says which requests are copies or copied, where the headers do not.
    """

    model: Model
    version: str
    limits: Limits = field(default_factory=Limits)
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    predictions: Counter[str] = field(default_factory=Counter)
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    clock: Clock = field(default_factory=SystemClock)
    draining: bool = False
    together: bool = False
    log: InferenceLog | None = None
    spans: Spans | None = None
    load_seconds: float = 0.0
    key_header: str = DEFAULT_KEY
    marks: Marks = field(default_factory=dict)
    asked: "dict[asyncio.Task[Any], float]" = field(default_factory=dict)
    began: datetime = field(init=False)
    bins: Bins = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.now()
        self.bins = Bins(self.model.description.classes)
