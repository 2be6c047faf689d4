"""Ctrl-C and SIGTERM: an interruption is one wherever it falls.

Prefect's engine does not bear an exception in every place: one between the creation of a task run and its first state
comes out as `ValueError: Task run is not set`, one in a finalizer not at all. So a signal is raised where our own code
runs; and whatever comes out of Prefect once somebody interrupted counts as that interruption.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_ENGINE: Final = "prefect"
_OURS: Final = frozenset({"flows", "tasks", "deployments"})
# Ours, but called by the engine in the middle of its work.
_CALLBACKS: Final = frozenset({"flows.parameters", "tasks.retry_policies"})
_AGAIN_SECONDS: Final = 0.05
# How long the engine is left alone before it is interrupted all the same: it may wait for a server that hangs.
_LONGEST_SECONDS: Final = 3.0
# What Prefect raises for SIGTERM; by name, for commands that only look never import Prefect.
_TERMINATION: Final = "TerminationSignal"


class CommandInterruptedError(BaseException):
    """A command was interrupted; the text says what became of it, and is empty where that was told already."""


class Interruptions:
    """What a process was told by signals, and whether its own code knows already."""

    def __init__(self) -> None:
        self.insisted = False
        self._heeding = self._asked = self._received = self._resent = self._held = False
        self._until: float | None = None  # while the engine is left alone
        self._deferred: SimpleQueue[None] = SimpleQueue()  # the only thing that a signal handler may put something into

    def heed(self) -> None:
        """From here on SIGINT and SIGTERM interrupt this process in good order. For the main thread."""
        if not self._heeding:
            threading.Thread(target=self._send_again, name="interruption", daemon=True).start()
        self._heeding = True
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A block in which both signals come here, if they are heeded: Prefect takes SIGTERM for itself in a flow."""
        if not self._heeding or threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that the first signal in it does not end (the champion is being put back); the second one does."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before

    @property
    def asked(self) -> bool:
        """Whether anybody interrupted this process so far."""
        return self._asked

    def check(self) -> None:
        """Raises KeyboardInterrupt if somebody interrupted and that was lost on its way; not in a `held` block."""
        if self._asked and not self._received and not self._held:
            self._until = None
            raise KeyboardInterrupt

    def cause(self, error: BaseException) -> BaseException:
        """Why something ended: `error`, or the interruption that it stands for; that is known from then on."""
        unknown = self._asked and not self._received
        if unknown or any(map(_interrupts, error_chain(error))):
            self._asked = self._received = True
            self._until = None
            if isinstance(error, Exception):
                interruption = KeyboardInterrupt()
                interruption.__cause__ = error
                return interruption
        return error

    def _on_signal(self, _: int, frame: FrameType | None) -> None:
        resent, self._resent = self._resent, False
        if resent and self._until is None:
            return  # raised meanwhile
        if not resent and self._is_held():
            return
        now, first = time.monotonic(), self._until is None
        if not resent:
            self._asked, self._received = True, False
        if is_in_prefect(frame) and (first or (resent and now < (self._until or now))):
            if first:
                self._until = now + _LONGEST_SECONDS
                self._deferred.put(None)
            return
        self._until = None
        raise KeyboardInterrupt

    def _is_held(self) -> bool:
        """Whether the signal waits for the end of the block; the next one is not held any more."""
        if not self._held:
            return False
        self.insisted = self._asked and not self._received
        self._asked, self._received = True, False
        return not self.insisted

    def _send_again(self) -> None:
        while True:
            self._deferred.get()
            while self._until is not None:
                time.sleep(_AGAIN_SECONDS)
                if self._until is not None:
                    self._resent = True
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def is_in_prefect(frame: FrameType | None) -> bool:
    """Whether Prefect is at work there, and not code of ours that it called."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        package = name.partition(".")[0]
        if package == _ENGINE:
            return True
        if package in _OURS and name not in _CALLBACKS:
            return False
        frame = frame.f_back
    return False


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from or in the handling of, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _interrupts(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) or type(error).__name__ == _TERMINATION


PRESENT: Final = Interruptions()
