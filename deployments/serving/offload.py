"""Work beside the event loop, so that small requests and health checks do not wait for it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Any, Final, TypeVar

import numpy as np

from deployments.clock import Clock, SystemClock
from deployments.serving.data_plane import answers_of, guarded_answers_of
from deployments.serving.inference_request import Answers, Query, Wanted
from deployments.serving.loaded_model import Model
from deployments.serving.memory_budget import MOST_MADE
from deployments.serving.prediction_threads import Job, Taking, Threads
from deployments.serving.request_limits import Limits
from deployments.serving.row_batch import joined

T = TypeVar("T")
# Bigger questions gain nothing by company.
_FEW_ROWS: Final = 32
# Of the time that a request may take: who works longer at something is held up, and others are let past.
_PATIENCE: Final = 0.1
# A model that answers nothing for that share of the time, nor for so many seconds, nor for so many times as long as
# a row of its own usually takes, is not ready.
_SILENT: Final = 0.25
_SILENT_SECONDS: Final = 5.0
_SAMPLES: Final = 20.0
_USUAL_TIME: Final = Limits().time


class Beside:
    """Asks the model in a thread. While it is busy, small questions gather, and are then put to it as a micro-batch.

    Only if `together`, which says that the model answers rows in company as it answers each alone. A call that takes
    long, or never ends, holds nobody up for longer than a tenth of the `time` that a request may take. `sample` is
    asked where nothing else came to its end for so long, to tell one call that hangs from a model that does; it usually
    takes no longer than `sample_seconds`.
    """

    def __init__(
        self,
        model: Model,
        *,
        together: bool,
        clock: Clock | None = None,
        time: timedelta = _USUAL_TIME,
        sample: Query | None = None,
        sample_seconds: float = 0.0,
    ) -> None:
        self._model = model
        self._together = together
        self.sample = sample
        self._time = time.total_seconds()
        self._patience = time.total_seconds() * _PATIENCE
        usual = max(_SILENT * self._time, _SILENT_SECONDS, _SAMPLES * sample_seconds)
        self._silent_after = self._time if sample is None else min(self._time, usual)
        self._threads = Threads(self._answers_of, clock or SystemClock(), time * _PATIENCE)
        self._watching: asyncio.TimerHandle | None = None
        self._probe: asyncio.Future[Answers] | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns; it runs in a thread."""
        done: T = await self._asked(work)
        return done

    async def run_large(self, work: Callable[[Callable[[int], None]], T], over: Callable[[], None]) -> T:
        """The same of work that comes to much memory; it is given whom to tell how much it takes, once it knows.

        `over` is called as soon as nobody holds on to it any more.
        """

        taking = Taking(MOST_MADE)

        # No part of a job refers to the job: what it has made would stay until the collector finds the circle.
        def told(size: int) -> None:
            taking.size = min(size, MOST_MADE)

        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = Job(future, lambda: work(told), taking=taking, over=over)
        done: T = await self._put(job)
        return done

    async def answers(self, query: Query) -> Answers:
        """What the model says. Raises what the model raises, or `ModelFault`."""
        alone = not self._together or query.batch.rows > _FEW_ROWS
        said: Answers = await self._asked(
            lambda: guarded_answers_of(self._model, query), query=None if alone else query
        )
        return said

    @property
    def hangs_for(self) -> float:
        """How often the time of a request has passed with the model at work, and not one call to it came to its end.

        From 1 on nobody gets an answer; 0 while nothing is asked.
        """
        return self._threads.held_up_for() / self._time

    @property
    def is_silent(self) -> bool:
        """Whether no call came to its end for so long that nobody who asks now is likely to get an answer.

        Sooner than after the time of a request, where a row of its own was put to the model meanwhile, in vain.
        """
        return self._threads.held_up_for() >= self._silent_after

    def disregard(self) -> None:
        """Until now nobody could come to an end: the whole process stood still."""
        self._threads.disregard()

    def _asked(self, work: Callable[[], T], query: Query | None = None) -> "asyncio.Future[T]":
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        return self._put(Job(future, work, query))

    def _put(self, job: Job) -> "asyncio.Future[Any]":
        self._threads.put(job)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().call_later(self._patience, self._watch)
        return job.future

    def _watch(self) -> None:
        """Lets others past whoever is held up, as long as there is work."""
        self._watching = None
        if not self._threads.relieve():
            return
        if self._threads.held_up_for() >= self._patience and self.sample is not None:
            self._ask_sample(self.sample)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().call_later(self._patience, self._watch)

    def _ask_sample(self, sample: Query) -> None:
        if self._probe is None or self._probe.done():
            self._probe = self._asked(lambda: guarded_answers_of(self._model, sample))
            self._probe.add_done_callback(_seen)

    def _answers_of(self, queries: Sequence[Query]) -> "Sequence[Answers | Exception]":
        if len(queries) > 1:
            try:
                return _in_company(self._model, queries)
            except Exception:  # noqa: BLE001 - one of them is to blame, and only that one is to be told
                return [self._alone(query) for query in queries]
        return [self._alone(query) for query in queries]

    def _alone(self, query: Query) -> "Answers | Exception":
        try:
            return guarded_answers_of(self._model, query)
        except Exception as error:  # noqa: BLE001 - raised again where it was asked
            return error


def _seen(probe: "asyncio.Future[Answers]") -> None:
    """Also a model that fails has answered."""
    if not probe.cancelled():
        probe.exception()


def is_batch_invariant(model: Model, query: Query) -> bool:
    """Whether the model says of each row in `query`, bit for bit, what it says when asked about that row alone."""
    rows = [Query(row, query.wanted) for row in query.batch.each()]
    together = _in_company(model, rows)
    return all(
        np.array_equal(answer[output], alone)
        for row, answer in zip(rows, together, strict=True)
        for output, alone in answers_of(model, row).items()
    )


def _in_company(model: Model, queries: Sequence[Query]) -> Sequence[Answers]:
    outputs = {wanted.output for query in queries for wanted in query.wanted}
    everything = Query(joined([query.batch for query in queries]), tuple(Wanted(output) for output in outputs))
    answers = guarded_answers_of(model, everything)
    ends = accumulate((query.batch.rows for query in queries), initial=0)
    return [
        {wanted.output: answers[wanted.output][start:end] for wanted in query.wanted}
        for query, (start, end) in zip(queries, pairwise(ends), strict=True)
    ]
