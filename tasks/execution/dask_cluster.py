"""A Dask cluster, reached through its scheduler."""

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from deployments.errors import BadInput, BadModel, PlatformUnreachable
from tasks.execution.cluster_protocol import Call, runner, settle_future


@contextlib.contextmanager
def connected(address: str, seconds: float) -> Iterator["DaskCluster"]:
    """The cluster whose scheduler listens at `address`; within the block it has this process as a client.

    Raises `PlatformUnreachable` if it does not answer within `seconds`, `BadInput` if there are no certificates for it.
    """
    from distributed import Client

    security = _security(address)
    try:
        with ThreadPoolExecutor(1) as pool:  # this thread may have an event loop already
            pool.submit(asyncio.run, _greet(address, seconds, security)).result()
        client = Client(address, timeout=seconds, set_as_default=False, name="seatrial")
    except (OSError, TimeoutError, ValueError) as error:
        raise PlatformUnreachable(
            f"no Dask scheduler answers at {address} within {seconds:g} s ({str(error) or type(error).__name__}): "
            "start it, or correct execution.address"
        ) from error
    try:
        yield DaskCluster(client, address)
    finally:
        with contextlib.suppress(TimeoutError):
            client.close(timeout=5)


def _security(address: str) -> dict[str, Any]:
    """How Dask's own configuration says that a client connects."""
    from distributed import Security

    try:
        found: dict[str, Any] = Security().get_connection_args("client")
    except OSError as error:  # of TLS, too
        raise BadInput(f"the certificates of Dask's configuration cannot be used: {error}") from error
    if address.startswith("tls://") and found["ssl_context"] is None:
        raise BadInput(
            f"{address} asks for certificates, and Dask's configuration lacks some: set "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__TLS__CLIENT__CERT and …__TLS__CLIENT__KEY"
        )
    return found


async def _greet(address: str, seconds: float, security: dict[str, Any]) -> None:
    """Says hello and leaves. Dask's own timeout ends with the connection: it waits for ever for a first word."""
    from distributed.comm import connect

    comm = await asyncio.wait_for(connect(address, timeout=seconds, **security), seconds)
    comm.abort()


class DaskCluster:
    """A piece whose worker dies goes to another one, as often as the scheduler's `allowed-failures` says."""

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address
        self._run = runner()

    def cores(self) -> int:
        """Threads of all workers."""
        with self._explained():
            return int(sum(self._client.ncores().values()))

    def versions(self) -> set[tuple[str, str]]:
        """Python's minor version and scikit-learn's, of all workers."""
        with self._explained():
            told = self._client.get_versions(packages=["scikit-learn"])["workers"].values()
        return {
            (".".join(each["host"]["python"].split(".")[:2]), str(each["packages"]["scikit-learn"])) for each in told
        }

    def keep(self, value: Any) -> Any:
        """On every worker, so that it outlives each of them."""
        with self._explained():
            return self._client.scatter(value, broadcast=True, hash=False)

    def start(self, calls: list[Call], kept: list[Any]) -> "Future[list[Any]]":
        """As a task of its own."""
        promised: Future[list[Any]] = Future()
        with self._explained():
            task = self._client.submit(self._run, calls, *kept, pure=False)
        promised.add_done_callback(lambda done: task.cancel() if done.cancelled() else None)
        task.add_done_callback(lambda _: settle_future(promised, lambda: self._results(task)))
        return promised

    def _results(self, task: Any) -> list[Any]:
        with self._explained():
            results: list[Any] = task.result()
        task.release()
        return results

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        try:
            yield
        except KilledWorker as error:
            raise BadModel(
                f"a piece of the fit killed every worker of {self._address} that tried it ({error}): "
                "give the workers more memory, or use fewer rows or a smaller model"
            ) from error
        except (CommClosedError, CancelledError) as error:
            raise PlatformUnreachable(
                f"the Dask cluster at {self._address} was lost while it fitted ({type(error).__name__}: {error}): "
                "see its scheduler's log, and release again"
            ) from error
