"""A server that listens, does not wait for ever for anybody, and leaves without losing a request."""

import asyncio
import contextlib
import faulthandler
import os
import resource
import signal
import socket
import stat
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

import uvicorn

from deployments.serving.http_protocol import Connection, end_unfinished
from deployments.serving.management_api import make_app
from deployments.serving.nonblocking_output import STDERR, STDOUT
from deployments.serving.predict_handler import TOO_LONG
from deployments.serving.prometheus_metrics import LATE_SECONDS
from deployments.serving.server_log import log_event, log_failure
from deployments.serving.server_state import HOPELESS, Service

# Above the 3 s after which Envoy drops an idle connection, so that it is never us who hang up first.
_KEEP_ALIVE_SECONDS = 75
# How long callers have to come back over an open connection and be told that it closes.
_FAREWELL_SECONDS = 1.0
# Beyond the time after which the loop itself would end a process that hangs.
_GRACE_SECONDS: Final = 5.0
# A loop that did not turn for so long was stopped with its process (a container that is paused), or by a call.
_STOPPED_SECONDS: Final = 2.0
# When a process ends whose loop does not turn and that computes nothing. Long, for so it is while others stop it, too.
_STILL_SECONDS: Final = 1800.0
# Whoever keeps the process takes one that ends sooner for one that cannot start, and may leave it at that.
_YOUNG_SECONDS: Final = 20.0
# What a module has, a model may replace.
_setitimer: Final = signal.setitimer
_TICKS_A_SWEEP, _SWEEP_SECONDS = 5, 0.5


def serve_until_signal(service: Service, *listeners: socket.socket) -> bool:
    """Answers requests until SIGTERM or SIGINT; then says farewell, finishes what it is answering, and returns.

    Whether it could answer to its end: not if the model hangs, and only a new process can help.

    The process may have as many connections as the system lets it: else those that say nothing would be all of them.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    config = uvicorn.Config(
        make_app(service),
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    # Its timer leaves a traceback, and ends the process.
    faulthandler.register(signal.SIGPROF, file=STDERR, chain=True)
    os.register_at_fork(after_in_child=lambda: _close_all(listeners))
    server = _Server(config, service, listeners)
    server.run(sockets=list(listeners))
    return not server.gave_up


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, listeners: Sequence[socket.socket]) -> None:
        super().__init__(config)
        self._listeners = {listener.fileno(): _inode_of(listener.fileno()) for listener in listeners}
        self._outputs = {number: _is_taken(number) for number in (STDOUT, STDERR)}
        self._service = service
        self._leaving_since = 0.0
        self._began = self._watched = service.clock.monotonic()
        self.gave_up = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to leave; a second Ctrl-C leaves at once."""
        if not self._service.draining:
            self._service.draining = True
            self._leaving_since = self._service.clock.monotonic()
        elif sig == signal.SIGINT:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to stop accepting connections; asked ten times a second."""
        if counter % _TICKS_A_SWEEP == 0:
            self._sweep()
            self._watch()
        if self._service.draining and not self.should_exit:
            said_long_enough = self._service.clock.monotonic() - self._leaving_since >= _FAREWELL_SECONDS
            if said_long_enough or not self.server_state.connections:
                log_event("leaving", open_connections=len(self.server_state.connections))
                self.should_exit = True
        return await super().on_tick(counter)

    def _watch(self) -> None:
        """Ends a process in which nobody gets an answer any more, so that whoever keeps it begins a new one.

        Where even this loop does not turn, since a call keeps all other threads from running, a timer ends it. It
        counts the time for which the process computes: one that others stop goes on as if nothing had been.
        """
        longest, now = self._service.limits.time.total_seconds(), self._service.clock.monotonic()
        if now - self._watched > _STOPPED_SECONDS:
            self._service.beside.disregard()
        self._watched = now
        young = max(0.0, _YOUNG_SECONDS - (now - self._began))
        _setitimer(signal.ITIMER_PROF, max(HOPELESS * longest, young) + _GRACE_SECONDS)
        faulthandler.dump_traceback_later(max(HOPELESS * longest, _STILL_SECONDS), exit=True, file=STDERR)
        if self.should_exit or young:
            return
        if self._service.beyond_hope:
            self._give_up("hangs", f"no call to the model has ended for {HOPELESS * longest:g} s")
        elif any(_inode_of(number) != inode for number, inode in self._listeners.items()):
            self._give_up("does not listen", "somebody has closed the socket of the server, which only a model can do")
        elif any(_is_taken(number) and not before for number, before in self._outputs.items()):
            self._give_up("cannot log", "somebody has closed its output, which only a model can do")

    def _give_up(self, event: str, why: str) -> None:
        log_failure(event, error=f"{why}: the server ends itself")
        self.gave_up = self._service.draining = self.should_exit = self.force_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finishes what is being answered; nobody can draw that out, for sweeping goes on."""
        sweeping = asyncio.create_task(self._sweep_on())
        await super().shutdown(sockets)
        sweeping.cancel()
        _setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()

    async def _sweep_on(self) -> None:
        while True:
            self._sweep()
            self._watch()
            await asyncio.sleep(_SWEEP_SECONDS)

    def _sweep(self) -> None:
        """Ends what has had its time: requests, and connections whose client neither asks nor takes its answer."""
        longest = self._service.limits.time.total_seconds()
        now = self._service.clock.monotonic()
        for task, call in list(self._service.asked.items()):
            if now - call.since >= longest:
                del self._service.asked[task]
                task.cancel(TOO_LONG)
            elif call.read and not call.late and now - call.since > LATE_SECONDS:
                call.late = True
                self._service.kind_of(call).grow_late()
        connection: Any
        for connection in list(self.server_state.connections):
            connection.end_if_waiting_since(connection.loop.time() - longest)
        end_unfinished(self.server_state.connections)


def _inode_of(number: int) -> int | None:
    """Which socket a file descriptor stands for; None for none."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_ino if stat.S_ISSOCK(status.st_mode) else None


def _is_taken(number: int) -> bool:
    """Whether a file descriptor is free for the next connection, or is one: what is logged would go to a client."""
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return True


def _close_all(listeners: Sequence[socket.socket]) -> None:
    """In a copy of the process that a model has made: else callers would wait there for whoever accepts them."""
    for listener in listeners:
        with contextlib.suppress(OSError):
            os.close(listener.fileno())
