"""A joblib backend over a cluster: what scikit-learn does in parallel becomes pieces of work that the cluster does.

joblib's own backends for Dask and Ray are not used (decision 14): one bounds nothing and does not tell why it ended,
the other does not survive a worker.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase

from tasks.execution.cluster_protocol import Call, Cluster

# Smaller arguments travel with each piece; larger ones are put on the cluster once.
_KEPT_FROM_BYTES: Final = 100_000
_ALL: Final = -1


@dataclass(frozen=True, slots=True)
class _Failed:
    """A piece that ended with an error instead of results."""

    error: BaseException


class ClusterBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """Give it to `joblib.parallel_config`. At most `most` pieces are under way at once; None: one a core."""

    supports_retrieve_callback = True
    default_n_jobs = _ALL

    def __init__(self, cluster: Cluster, most: int | None = None) -> None:
        super().__init__(nesting_level=0)
        self._cluster = cluster
        self._most = most
        self._kept: dict[int, tuple[Any, Any]] = {}
        self._under_way: set[Future[list[Any]]] = set()
        # joblib's callbacks start further pieces, which a cluster's own threads must not wait for.
        self._answers = ThreadPoolExecutor(1, thread_name_prefix="seatrial-fit")

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many pieces at once, for an estimator that asks for `n_jobs`: 1 is done here."""
        if n_jobs == 1:
            return 1
        cores = self._cluster.cores()
        asked = cores if n_jobs is None or n_jobs < 0 else min(n_jobs, cores)
        # With a single piece at once joblib would do the work here.
        return max(2, asked if self._most is None else min(asked, self._most))

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Called by joblib before each loop."""
        self.parallel = parallel
        if self._most is not None:
            parallel.pre_dispatch = "n_jobs"  # joblib would have twice as many under way
        return self.effective_n_jobs(n_jobs)

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> "Future[list[Any]]":
        """Starts a piece. `callback` is called with its outcome in every case: joblib waits for nothing else."""
        try:
            started = self._cluster.start(*self._taken_apart(func.items))
        except Exception as error:  # noqa: BLE001 - goes to the thread that waits, whichever thread this is
            started = Future()
            started.set_exception(error)
        self._under_way.add(started)
        started.add_done_callback(lambda done: self._answer(done, callback))
        return started

    def stop_call(self) -> None:
        """Called by joblib after each loop: what only this loop needed is let go of."""
        self._kept.clear()

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results of a piece, or what it ended with."""
        if isinstance(out, _Failed):
            raise out.error
        return out

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Nobody waits for the pieces under way any more."""
        for future in list(self._under_way):
            future.cancel()

    def close(self) -> None:
        """Lets go of everything that is kept and under way."""
        self.abort_everything()
        self._answers.shutdown(wait=False, cancel_futures=True)
        self.stop_call()

    def _answer(self, done: "Future[list[Any]]", callback: Callable[[Any], None] | None) -> None:
        self._under_way.discard(done)
        if callback is not None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile: nobody waits
                self._answers.submit(lambda: callback(_outcome(done)))

    def _taken_apart(self, items: list[tuple[Callable[..., Any], Any, dict[str, Any]]]) -> tuple[list[Call], list[Any]]:
        """The calls, with what is large replaced by its number among what is kept."""
        numbers: dict[int, int] = {}
        kept: list[Any] = []
        calls: list[Call] = []
        for function, arguments, named in items:
            left: dict[int | str, Any] = dict(enumerate(arguments))
            left.update(named)
            places: dict[int | str, int] = {}
            for place, value in left.items():
                if _bytes_of(value) >= _KEPT_FROM_BYTES:
                    if id(value) not in numbers:
                        numbers[id(value)] = len(kept)
                        kept.append(self._keep(value))
                    places[place], left[place] = numbers[id(value)], None
            calls.append(
                (
                    function,
                    [left[place] for place in range(len(arguments))],
                    {name: left[name] for name in named},
                    places,
                )
            )
        return calls, kept

    def _keep(self, value: Any) -> Any:
        """The value stays referred to, so that no other one gets its id."""
        if id(value) not in self._kept:
            self._kept[id(value)] = (value, self._cluster.keep(value))
        return self._kept[id(value)][1]


def _outcome(done: "Future[list[Any]]") -> Any:
    try:
        return done.result()
    except BaseException as error:  # noqa: BLE001 - raised where the fit is waited for
        return _Failed(error)


def _bytes_of(value: Any) -> int:
    """Of arrays, series and sparse matrices; 0 of all else."""
    size = getattr(value, "nbytes", None)
    if size is None:
        size = getattr(getattr(value, "data", None), "nbytes", 0)
    return size if isinstance(size, int) else 0
