"""A Ray cluster, reached through its client server."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final
from urllib.parse import urlsplit

from deployments.errors import BadInput, BadModel, PlatformUnreachable
from tasks.execution.cluster_protocol import Call, abandonable_call, runner, settle_future

# A process has one connection to Ray.
_ONE_AT_A_TIME: Final = threading.Lock()
_TRIES: Final = 3


@contextlib.contextmanager
def connected(address: str, seconds: float) -> Iterator["RayCluster"]:
    """The cluster whose client server listens at `address` (`ray://…`); the connection ends with the block.

    Raises `PlatformUnreachable` if it does not answer, `BadInput` if it has another version of Ray or Python.
    """
    # Without its connection Ray would start a cluster of its own on this machine for whoever still asks something.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    import ray

    logging.getLogger("ray.client_builder").setLevel(logging.WARNING)  # it repeats its arguments
    with _ONE_AT_A_TIME:
        if ray.is_initialized():
            raise PlatformUnreachable(
                "a Ray cluster that froze still holds this process's only connection: release again in a new one"
            )
        _reach(address, seconds)
        try:
            _init(ray, address)
        except RuntimeError as error:
            raise BadInput(f"the Ray cluster at {address} does not suit this environment: {error}") from error
        except (ConnectionError, TimeoutError) as error:
            raise _unreachable(address, seconds, error) from error
        cluster = RayCluster(ray, address)
        try:
            yield cluster
        finally:
            cluster.close()
            wait([abandonable_call(ray.shutdown)], timeout=5)  # it waits for a cluster's goodbye without end


def _init(ray: Any, address: str) -> None:
    """Twice if need be: now and then the server that Ray forks for a client dies at birth, which it tells late."""
    try:
        ray.init(address, log_to_driver=False)
    except ConnectionAbortedError:
        ray.init(address, log_to_driver=False)


class RayCluster:
    """A piece whose worker dies is started anew, three times at most."""

    def __init__(self, ray: Any, address: str) -> None:
        self._ray = ray
        self._address = address
        # Ray's own retries know no end when memory runs out.
        self._run = ray.remote(num_cpus=1, max_retries=0)(runner())
        # Ray's own thread, which tells that a task ended, must not be made to wait for Ray.
        self._endings = ThreadPoolExecutor(1, thread_name_prefix="seatrial-ray")

    def cores(self) -> int:
        """CPUs of all nodes."""
        with self._explained():
            return int(self._ray.cluster_resources().get("CPU", 0))

    def versions(self) -> set[tuple[str, str]]:
        """Python's minor version and scikit-learn's, of one worker; Ray itself holds its nodes equal."""

        def told() -> tuple[str, str]:
            import platform
            from importlib.metadata import PackageNotFoundError, version

            try:
                found = version("scikit-learn")
            except PackageNotFoundError:
                found = "None"
            return platform.python_version().rpartition(".")[0], found

        with self._explained():
            return {self._ray.get(self._ray.remote(told).remote())}

    def keep(self, value: Any) -> Any:
        """In the object store."""
        with self._explained():
            return self._ray.put(value)

    def start(self, calls: list[Call], kept: list[Any]) -> "Future[list[Any]]":
        """As a task of its own."""
        promised: Future[list[Any]] = Future()
        self._try(promised, calls, kept, _TRIES)
        return promised

    def close(self) -> None:
        """Nobody waits for what is under way any more."""
        self._endings.shutdown(wait=False, cancel_futures=True)

    def _try(self, promised: "Future[list[Any]]", calls: list[Call], kept: list[Any], left: int) -> None:
        with self._explained():
            task = self._run.remote(calls, *kept)
        promised.add_done_callback(lambda done: self._ray.cancel(task, force=True) if done.cancelled() else None)

        def ended(done: Any) -> None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile: nobody waits
                self._endings.submit(self._ended, promised, done, calls, kept, left - 1)

        task.future().add_done_callback(ended)

    def _ended(self, promised: "Future[list[Any]]", done: Any, calls: list[Call], kept: list[Any], left: int) -> None:
        from ray.exceptions import WorkerCrashedError

        if left and not promised.cancelled() and isinstance(done.exception(), WorkerCrashedError):
            self._try(promised, calls, kept, left)
        else:
            settle_future(promised, lambda: self._results(done))

    def _results(self, done: Any) -> list[Any]:
        with self._explained():
            results: list[Any] = done.result()
        return results

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, WorkerCrashedError

        try:
            yield
        except RayTaskError as error:
            raise error.cause from None
        except (OutOfMemoryError, WorkerCrashedError) as error:
            raise BadModel(
                f"a piece of the fit killed every worker of {self._address} that tried it ({type(error).__name__}): "
                "give the workers more memory, or use fewer rows or a smaller model"
            ) from error
        except (RayError, ConnectionError) as error:
            raise PlatformUnreachable(
                f"the Ray cluster at {self._address} was lost while it fitted ({type(error).__name__}: {error}): "
                "see its logs, and release again"
            ) from error


def _reach(address: str, seconds: float) -> None:
    """Ray itself would try for half a minute and more."""
    place = urlsplit(address)
    try:
        socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=seconds).close()
    except OSError as error:
        raise _unreachable(address, seconds, error) from error


def _unreachable(address: str, seconds: float, error: Exception) -> PlatformUnreachable:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return PlatformUnreachable(
        f"no Ray cluster answers at {address} within {seconds:g} s ({reason}): "
        "start it (`ray start --head`), correct execution.address, or give its token (RAY_AUTH_MODE, RAY_AUTH_TOKEN)"
    )
