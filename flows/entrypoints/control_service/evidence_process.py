"""Verdicts for whoever looks, reached by a process of their own: numpy and SciPy are more than the service may carry.

It is started when somebody first asks, and ends when nobody has asked for a while.
"""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from typing import Any, Final

from deployments.clock import Clock
from deployments.errors import PlatformUnreachable

_IDLE: Final = timedelta(minutes=2)
_PATIENCE_SECONDS: Final = 30.0
# How long the present traffic is counted for a plan.
_MEASURED_FOR: Final = timedelta(seconds=1)


class EvidenceProcess:
    """Safe for several threads; one question is answered after the other."""

    def __init__(self, clock: Clock, idle: timedelta = _IDLE) -> None:
        self._clock, self._idle = clock, idle
        self._pool: ProcessPoolExecutor | None = None
        self._asked_at = 0.0
        self._turn = threading.Lock()

    def explanation(self, product: str, rollout_id: str) -> dict[str, Any]:
        """As `seatrial explain --json`, and the evidence look by look; see `flows.reports.evidence`."""
        return self._ask(_explanation, product, rollout_id)

    def replay(self, product: str, rollout_id: str) -> dict[str, Any]:
        """As `seatrial replay --json`."""
        return self._ask(_replay, product, rollout_id)

    def forecast(self, product: str, rollout_id: str) -> dict[str, Any]:
        """See `flows.reports.rollout_forecast`."""
        return self._ask(_forecast, product, rollout_id)

    def plan(self, product: str, strategy: str | None, rate: float | None) -> dict[str, Any]:
        """As `seatrial plan --json`; `product` as the file of its spec is called."""
        return self._ask(_plan, product, strategy, rate)

    def rest(self) -> None:
        """End the process if nobody has asked for a while."""
        with self._turn:
            if self._pool is not None and self._clock.monotonic() - self._asked_at >= self._idle.total_seconds():
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def close(self) -> None:
        """End it."""
        with self._turn:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def _ask(self, question: Callable[..., dict[str, Any]], *of: object) -> dict[str, Any]:
        with self._turn:
            self._asked_at = self._clock.monotonic()
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            pool = self._pool
        try:
            return pool.submit(question, *of).result(_PATIENCE_SECONDS)
        except (BrokenProcessPool, RuntimeError):  # it was killed, or has just gone to rest
            self.close()
            raise PlatformUnreachable("the evidence was being weighed when its process ended: ask again") from None
        except TimeoutError:
            raise PlatformUnreachable("weighing the evidence takes long: ask again in a minute") from None


def _explanation(product: str, rollout_id: str) -> dict[str, Any]:
    from flows.reports.evidence import evidence_report

    return evidence_report(product, rollout_id)


def _replay(product: str, rollout_id: str) -> dict[str, Any]:
    from flows.reports.evidence import replay_report

    return replay_report(product, rollout_id)


def _forecast(product: str, rollout_id: str) -> dict[str, Any]:
    from deployments import wiring
    from deployments.clock import SystemClock
    from flows.reports.rollout_forecast import forecast_report

    journal = wiring.journal()
    return forecast_report(journal.rollout(product, rollout_id), journal, SystemClock().now())


def _plan(product: str, strategy: str | None, rate: float | None) -> dict[str, Any]:
    from deployments.spec import Strategy
    from flows.reports.release_plan import look_ahead, plan_report

    wanted = None if strategy is None else Strategy(strategy)
    return plan_report(look_ahead(product, wanted, rate, _MEASURED_FOR))
