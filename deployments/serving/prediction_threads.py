"""Threads in which a model is asked: one, and another as soon as that one is held up.

A call that never ends cannot be ended from outside. So it costs its thread, and takes nobody with it who comes after;
there are few threads, so that many such calls cost no more than the process.
"""

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from traceback import clear_frames
from typing import Any, Final

from deployments.clock import Clock
from deployments.serving.data_plane import ModelFault
from deployments.serving.inference_request import Query
from deployments.serving.memory_budget import MOST_TOGETHER

# All that may be held up at once; whoever comes then waits until one of them ends, or the process does.
MOST_THREADS: Final = 8
_MOST_AT_ONCE: Final = 64
# A thread that has had nothing to do for so long ends, until there is something again.
_IDLE_SECONDS: Final = 60.0


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Taking:
    """The memory that some work takes, in bytes."""

    size: int


@dataclass(slots=True, eq=False)
class Job:
    """Something to be done in a thread; `future` gets what comes of it. A `query` may be put with others like it.

    `taking` is the memory that the work comes to; it may say less once it knows. `over` is
    called in the loop when nobody holds on to the work any more, be it done or not.
    """

    future: "asyncio.Future[Any]"
    work: Callable[[], Any]
    query: Query | None = None
    taking: "Taking | None" = None
    over: Callable[[], None] = _nothing


class Threads:
    """Works off jobs in the order in which they come; waiting queries all at once, by `together`.

    What all that are worked at take stays within `room` bytes: a job for which there is none lets others past.
    `together` returns what becomes of each query, an exception for one that fails. Whoever is at one piece of work for
    longer than `patience` is held up, and does not count any more. The threads are daemons: no process that ends waits
    for them.
    """

    def __init__(
        self,
        together: Callable[[Sequence[Query]], Sequence[Any]],
        clock: Clock,
        patience: timedelta,
        room: int = MOST_TOGETHER,
    ) -> None:
        self._room = room
        self._together, self._clock, self._patience = together, clock, patience.total_seconds()
        self._change = threading.Condition()
        self._line: deque[Job] = deque()
        self._since: dict[threading.Thread, float | None] = {}
        self._in_company: dict[threading.Thread, list[Job]] = {}
        self._large: dict[threading.Thread, Taking] = {}
        self._ended = clock.monotonic()
        self._process = os.getpid()

    def put(self, job: Job) -> None:
        """Lets it be done, soon."""
        with self._change:
            self._line.append(job)
            self._relieve()
            self._change.notify()
        job.future.add_done_callback(lambda future: self._drop(job) if future.cancelled() else None)

    def relieve(self) -> bool:
        """Begins another thread if some work waits and nobody is there to do it; whether there is any work at all.

        Who was put with others to a model that is held up is put to it alone: one of them is to blame, not all.
        """
        with self._change:
            self._part_company()
            if self._some_fit():
                self._relieve()
                self._change.notify()
            return bool(self._line) or any(since is not None for since in self._since.values())

    def held_up_for(self) -> float:
        """Seconds for which something has been worked at and nothing came to its end; 0 with nothing to do."""
        with self._change:
            running = [since for since in self._since.values() if since is not None]
            return self._clock.monotonic() - max(min(running), self._ended) if running else 0.0

    def disregard(self) -> None:
        """What passed until now was no time for anybody to come to an end."""
        with self._change:
            self._ended = self._clock.monotonic()

    def _drop(self, job: Job) -> None:
        """One whose caller is gone takes no memory but while it is worked at."""
        with self._change:
            waits = job in self._line
            if waits:
                self._line.remove(job)
        if waits:
            job.over()

    def _fits(self, job: Job) -> bool:
        """A job that would be alone always does."""
        return job.taking is None or not self._large or self._taken() + job.taking.size <= self._room

    def _some_fit(self) -> bool:
        return any(map(self._fits, self._line))

    def _taken(self) -> int:
        return sum(taking.size for taking in self._large.values())

    def _part_company(self) -> None:
        late = self._clock.monotonic() - self._patience
        for thread, jobs in list(self._in_company.items()):
            since = self._since.get(thread)
            if since is not None and since <= late:
                del self._in_company[thread]
                self._line.extend(Job(job.future, job.work) for job in jobs if not job.future.done())

    def _relieve(self) -> None:
        if len(self._since) < MOST_THREADS and not self._some_free(None):
            thread = threading.Thread(target=self._work, name="predict", daemon=True)
            self._since[thread] = None
            thread.start()

    def _some_free(self, but: threading.Thread | None) -> bool:
        """Whether anybody but this one waits for work, or is likely to come to its end soon."""
        late = self._clock.monotonic() - self._patience
        return any(thread is not but and (since is None or since > late) for thread, since in self._since.items())

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._change:
                if not self._change.wait_for(self._some_fit, _IDLE_SECONDS):
                    del self._since[me]
                    return
                jobs = self._next()
                self._since[me] = self._clock.monotonic()
                if len(jobs) > 1:
                    self._in_company[me] = jobs
                if jobs and jobs[0].taking is not None:
                    self._large[me] = jobs[0].taking
            done = self._done(jobs) if jobs else ()
            if os.getpid() != self._process:
                # The model made a copy of the process, which comes back as if it were the server.
                os._exit(0)
            with self._change:
                self._since[me], self._ended = None, self._clock.monotonic()
                self._in_company.pop(me, None)
                if self._large.pop(me, None):
                    self._change.notify()
                enough = self._some_free(me)
                if enough:
                    del self._since[me]
            _hand_over(jobs, done)
            # Whoever waits for work holds on to none.
            jobs, done = [], ()
            if enough:
                return

    def _next(self) -> list[Job]:
        """The first in line whose caller still waits; with it, if it is a query, the other ones that wait."""
        while (first := next(filter(self._fits, self._line), None)) is not None:
            self._line.remove(first)
            if first.future.done():  # its caller is gone, and the loop had no time yet to drop it
                first.future.get_loop().call_soon_threadsafe(first.over)
                continue
            if first.query is None:
                return [first]
            some = [job for job in self._line if job.query is not None][: _MOST_AT_ONCE - 1]
            taken = set(map(id, some))
            self._line = deque(job for job in self._line if id(job) not in taken)
            return [first, *(job for job in some if not job.future.done())]
        return []

    def _done(self, jobs: Sequence[Job]) -> Sequence[Any]:
        queries = [job.query for job in jobs if job.query is not None]
        try:
            return self._together(queries) if queries else [jobs[0].work()]
        except BaseException as error:  # noqa: BLE001 - nothing that a model does may end the thread
            return [_to_raise(_without_hold(error))] * len(jobs)


def _without_hold(error: BaseException) -> BaseException:
    """The same; but what worked at it, and failed, holds on to no body and no row, until the collector finds it."""
    clear_frames(error.__traceback__)
    return error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)


def _to_raise(error: BaseException) -> Exception:
    """What a future can carry, and what says nothing to whoever runs the one that waits for it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    fault = ModelFault()
    fault.__cause__ = error
    return fault


def _hand_over(jobs: Sequence[Job], done: Sequence[Any]) -> None:
    if jobs:
        # A loop that is closed has nobody who waits.
        with contextlib.suppress(RuntimeError):
            jobs[0].future.get_loop().call_soon_threadsafe(_settle, jobs, done)


def _settle(jobs: Sequence[Job], done: Sequence[Any]) -> None:
    for job, outcome in zip(jobs, done, strict=True):
        job.over()
        if job.future.done():
            continue  # its caller is gone
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
