"""Work beside the event loop, so that small requests and health checks do not wait for it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from typing import Final, TypeVar

import numpy as np

from deployments.serving.answers import answers_of
from deployments.serving.batch import joined
from deployments.serving.model import Model
from deployments.serving.query import Answers, Query, Wanted

T = TypeVar("T")
# Bigger questions gain nothing by company.
_FEW_ROWS: Final = 32
_MOST_AT_ONCE: Final = 64
_Waiting = tuple[Query, "asyncio.Future[Answers]"]


class Beside:
    """One thread. While it is busy, small questions gather, and are then put to the model together as a micro-batch.

    Only if `together`, which says that the model answers rows in company as it answers each alone.
    """

    def __init__(self, model: Model, *, together: bool) -> None:
        self._model = model
        self._together = together
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns; it runs in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def answers(self, query: Query) -> Answers:
        """What the model says. Raises what the model raises."""
        if not self._together or query.batch.rows > _FEW_ROWS:
            return await self.run(lambda: answers_of(self._model, query))
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work_off())
        return await future

    async def _work_off(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
            queries = [query for query, _ in some]
            for (_, future), answers in zip(some, await self.run(lambda: self._answers_of(queries)), strict=True):  # noqa: B023 - awaited at once
                if future.done():
                    continue  # its caller is gone
                if isinstance(answers, Exception):
                    future.set_exception(answers)
                else:
                    future.set_result(answers)
        self._worker = None

    def _answers_of(self, queries: Sequence[Query]) -> "Sequence[Answers | Exception]":
        if len(queries) > 1:
            try:
                return _in_company(self._model, queries)
            except Exception:  # noqa: BLE001 - one of them is to blame, and only that one is to be told
                return [self._alone(query) for query in queries]
        return [self._alone(query) for query in queries]

    def _alone(self, query: Query) -> "Answers | Exception":
        try:
            return answers_of(self._model, query)
        except Exception as error:  # noqa: BLE001 - raised again where it was asked
            return error


def answers_alike_in_company(model: Model, query: Query) -> bool:
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
    answers = answers_of(model, everything)
    ends = accumulate((query.batch.rows for query in queries), initial=0)
    return [
        {wanted.output: answers[wanted.output][start:end] for wanted in query.wanted}
        for query, (start, end) in zip(queries, pairwise(ends), strict=True)
    ]
