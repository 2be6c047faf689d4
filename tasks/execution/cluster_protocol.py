"""What the joblib backend asks of a cluster."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

# A function, its arguments, and which of these are kept on the cluster: by place or name, the number of what is kept.
Call = tuple[Callable[..., Any], list[Any], dict[str, Any], Mapping[int | str, int]]


class Cluster(Protocol):
    """A connected cluster. Whatever it raises is an error of Seatrial's, or what a call itself raised."""

    def cores(self) -> int:
        """How many pieces of work it can do at once, at present."""
        ...

    def versions(self) -> set[tuple[str, str]]:
        """Python (major and minor) and scikit-learn of the workers."""
        ...

    def keep(self, value: Any) -> Any:
        """Puts a value on the cluster, once for all pieces; what stands for it in `start`."""
        ...

    def start(self, calls: list[Call], kept: list[Any]) -> "Future[list[Any]]":
        """Has the calls made one after another, somewhere; their results. `kept` is what the calls number."""
        ...


def settle_future(promised: "Future[Any]", results: Callable[[], Any]) -> None:
    """Keeps what was promised, with what `results` gives or raises. Nothing if nobody waits any more."""
    if promised.done() or not promised.set_running_or_notify_cancel():
        return
    try:
        promised.set_result(results())
    except BaseException as error:  # noqa: BLE001 - raised where the fit is waited for
        promised.set_exception(error)


def abandonable_call(call: Callable[[], Any]) -> "Future[Any]":
    """What comes of a call that may never return; a process can end meanwhile."""
    promised: Future[Any] = Future()
    threading.Thread(target=settle_future, args=(promised, call), name="seatrial-aside", daemon=True).start()
    return promised


def runner() -> Callable[..., list[Any]]:
    """A function that makes the calls of a piece on a worker, one after another.

    It is made anew, not a function of a module, so that it travels by its content: workers need no Seatrial.
    """

    def run(calls: list[Call], *kept: Any) -> list[Any]:
        import joblib

        with joblib.parallel_config(backend="sequential"):  # a piece has one core
            return [
                function(
                    *(kept[places[place]] if place in places else value for place, value in enumerate(arguments)),
                    **{name: kept[places[name]] if name in places else value for name, value in named.items()},
                )
                for function, arguments, named, places in calls
            ]

    return run
