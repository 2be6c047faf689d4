"""The one way to supervisord: start it, give it programs, ask how they are, take them away."""

import contextlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from deployments.clock import Clock, SystemClock
from deployments.errors import TargetUnreachable
from deployments.settings import Settings
from deployments.supervision import orphan_processes, supervisord
from deployments.supervision.locks import locked, slot_of
from deployments.supervision.orphan_processes import Leftover
from deployments.supervision.program import Program, ProgramReport, ProgramState
from deployments.supervision.program_files import Definitions
from deployments.supervision.xmlrpc_client import Fault, Objection, Remote

_POLL = timedelta(milliseconds=50)
_FORK_TO_EXEC = timedelta(milliseconds=200)
_ANSWER_WITHIN = timedelta(seconds=20)
_TAKEN_OVER_WITHIN = timedelta(seconds=60)
_LEFTOVER_GRACE = timedelta(seconds=10)
_AFTER_KILL = timedelta(seconds=10)
_STOP_WITHIN = timedelta(seconds=30)


def _always() -> None:
    return None


class Supervisor:
    """The supervisord of one home. Every method is safe to call again, and from several processes at once.

    Except for `start` and `running`, all raise `TargetUnreachable` when supervisord does not answer.
    """

    def __init__(self, run_folder: Path, home: Path, logs: Path, clock: Clock | None = None) -> None:
        self._run_folder = run_folder
        self._home = home
        self._logs = logs
        self._programs = home / "programs"
        self._definitions = Definitions(self._programs)
        self._clock = clock or SystemClock()
        self._remote = Remote(supervisord.socket_of(run_folder))

    @classmethod
    def of(cls, settings: Settings, clock: Clock | None = None) -> "Supervisor":
        """The supervisord of the home in `settings`."""
        return cls(settings.run_folder, settings.home.resolve(), settings.logs, clock)

    def running(self) -> bool:
        """Whether supervisord answers and is not on its way out."""
        try:
            return str(self._remote.call("getState")["statename"]) == "RUNNING"
        except TargetUnreachable:
            return False

    def start(self) -> None:
        """Sees to it that supervisord runs, in a session of its own, and keeps every program it was given.

        After a crash of supervisord its programs live on. Those that share a socket with their successor serve until
        that has taken it over; the others are ended before their successors start.
        Raises `TargetUnreachable` with supervisord's own words if it does not come up.
        """
        with locked(self._run_folder / "supervisord.lock"):
            if self.running() or self._answers_late():
                return
            orphans = orphan_processes.leftovers_of(self._run_folder)
            orphan_processes.end(
                [orphan for orphan in orphans if orphan.takes_over is None], _LEFTOVER_GRACE, self._clock
            )
            serving = {orphan: _identity(orphan.takes_over) for orphan in orphans if orphan.takes_over is not None}
            self._definitions.mend()
            self._spawn()
            self._end_replaced(serving)

    def put(self, program: Program, allowed: Callable[[], None] = _always) -> None:
        """Keeps `program` running: started if new or ended, restarted if changed, left alone if it runs as it is.

        Its definition survives supervisord. Raises `BadInput` for values that no file can hold, and what `allowed`
        raises, which is asked when nobody else can put or remove the program any more.
        """
        with locked(slot_of(self._run_folder, program.name)):
            allowed()
            program.log.parent.mkdir(parents=True, exist_ok=True)
            self._definitions.write(program)
            added, changed = self._reload()
            if program.name in changed:
                self._drop(program.name, within=program.stop_wait)
            if program.name in {*added, *changed}:
                self._remote.try_call("addProcessGroup", program.name, unless=(Fault.ALREADY_ADDED,))
            elif self.state(program.name) not in {ProgramState.STARTING, ProgramState.RUNNING}:
                self._stop({program.name}, within=program.stop_wait)
                self._remote.try_call("startProcess", program.name, False, unless=(Fault.ALREADY_STARTED,))

    def remove(self, name: str, within: timedelta | None = None, allowed: Callable[[], None] = _always) -> None:
        """Stops a program and forgets it; returns when its processes are gone. An unknown one is fine.

        `within` is how long it may take to end by itself, in place of its own `stop_wait` where that is longer.
        `allowed` is asked as in `put`.
        """
        with locked(slot_of(self._run_folder, name)):
            allowed()
            self._definitions.forget(name)
            self._reload()
            self._drop(name, within)
            orphan_processes.end(orphan_processes.leftovers_of(self._run_folder, name), _LEFTOVER_GRACE, self._clock)

    def state(self, name: str) -> ProgramState:
        """What supervisord is doing with a program; `ABSENT` if it knows none of that name."""
        report = self.reports().get(name)
        return report.state if report else ProgramState.ABSENT

    def states(self) -> dict[str, ProgramState]:
        """What supervisord is doing with each program it knows, by name."""
        return {name: report.state for name, report in self.reports().items()}

    def reports(self) -> dict[str, ProgramReport]:
        """Every program that supervisord knows, by name and in that order."""
        reports = (_report(info) for info in self._remote.call("getAllProcessInfo"))
        return {report.name: report for report in sorted(reports, key=lambda report: report.name)}

    def known(self) -> tuple[str, ...]:
        """Names of all programs that are defined or that supervisord keeps, in alphabetical order."""
        return tuple(sorted({*self.reports(), *self._definitions.names()}))

    def shutdown(self, within: timedelta = _STOP_WITHIN, forget: Iterable[str] = ()) -> None:
        """Stops every program and supervisord itself, SIGKILL after `within`; leaves no process and no socket.

        The definitions stay, those of `forget` excepted: the next `start` takes them up again. Fine when nothing runs.
        """
        with locked(self._run_folder / "supervisord.lock"):
            # An unreachable supervisord is ended by its process number below.
            with contextlib.suppress(TargetUnreachable):
                self._stop(set(self.reports()), within)
                self._remote.call("shutdown")
            orphan_processes.kill_after(orphan_processes.daemons_of(self._run_folder), within, self._clock)
            orphan_processes.end(orphan_processes.leftovers_of(self._run_folder), _LEFTOVER_GRACE, self._clock)
            supervisord.socket_of(self._run_folder).unlink(missing_ok=True)
            (self._run_folder / "supervisord.pid").unlink(missing_ok=True)
            for name in forget:
                self._definitions.forget(name)

    def _answers_late(self) -> bool:
        """Whether a supervisord that is there, but silent, begins to answer; False once it is gone."""
        while_there = self._wait_until(
            lambda: self.running() or not orphan_processes.daemons_of(self._run_folder), _ANSWER_WITHIN
        )
        if not while_there:
            pids = ", ".join(str(process.pid) for process in orphan_processes.daemons_of(self._run_folder))
            raise TargetUnreachable(
                f"supervisord (process {pids}) is there but does not answer: run `seatrial down`, then `seatrial up`"
            )
        return self.running()

    def _spawn(self) -> None:
        configuration = supervisord.write_configuration(self._run_folder, self._home, self._programs, self._logs)
        supervisord.spawn(configuration, self._run_folder, self._home)
        if not self._wait_until(self.running, _ANSWER_WITHIN):
            raise TargetUnreachable(f"supervisord started but does not answer: see {self._logs / 'supervisord.log'}")

    def _end_replaced(self, serving: dict[Leftover, tuple[int, int] | None]) -> None:
        """Ends each orphan whose socket has a new owner; after a minute the rest as well, for nobody keeps them."""

        def all_taken_over() -> bool:
            return all(_identity(orphan.takes_over) != before for orphan, before in serving.items())

        self._wait_until(all_taken_over, _TAKEN_OVER_WITHIN)
        orphan_processes.end(serving, _LEFTOVER_GRACE, self._clock)

    def _reload(self) -> tuple[list[str], list[str]]:
        """Names of the programs that supervisord finds new, and of those it finds changed."""
        self._definitions.mend()
        [[added, changed, _]] = self._remote.call("reloadConfig")
        return added, changed

    def _drop(self, name: str, within: timedelta | None) -> None:
        def dropped() -> bool:
            self._stop({name}, within)
            try:
                self._remote.try_call("removeProcessGroup", name, unless=(Fault.BAD_NAME,))
            except Objection as refusal:
                # A process that died by itself cannot be stopped, and supervisord may start it anew right after that.
                if refusal.fault is not Fault.STILL_RUNNING:
                    raise
                return False
            return True

        if not self._wait_until(dropped, _AFTER_KILL):
            raise TargetUnreachable(f"{name} is started anew whenever it is stopped: see supervisord.log")

    def _stop(self, names: set[str], within: timedelta | None) -> None:
        reports = [report for name, report in self.reports().items() if name in names]
        if any(report.age_seconds <= 1 and report.state.has_process for report in reports):
            # A SIGTERM between supervisord's fork and exec is lost.
            self._clock.sleep(_FORK_TO_EXEC)
        for report in reports:
            self._remote.try_call("stopProcess", report.name, False, unless=(Fault.BAD_NAME, Fault.NOT_RUNNING))
        self._wait_stopped(names, within)

    def _wait_stopped(self, names: set[str], within: timedelta | None) -> None:
        def alive() -> set[str]:
            return {name for name, state in self.states().items() if name in names and state.has_process}

        if self._wait_until(lambda: not alive(), within):
            return
        for name in alive():
            self._remote.try_call("signalProcess", name, "KILL", unless=(Fault.BAD_NAME, Fault.NOT_RUNNING))
        if not self._wait_until(lambda: not alive(), _AFTER_KILL):
            raise TargetUnreachable(
                f"{', '.join(sorted(alive()))} did not end by SIGKILL: the kernel holds it; try again"
            )

    def _wait_until(self, condition: Callable[[], bool], within: timedelta | None) -> bool:
        """Whether `condition` came true `within` that time; None waits for ever."""
        start = self._clock.monotonic()
        while not condition():
            if within is not None and self._clock.monotonic() - start >= within.total_seconds():
                return False
            self._clock.sleep(_POLL)
        return True


def _identity(socket: Path | None) -> tuple[int, int] | None:
    """Which socket is behind the path: it changes when another process takes the path over."""
    with contextlib.suppress(FileNotFoundError):
        if socket is not None:
            found = socket.stat()
            return found.st_ino, found.st_ctime_ns
    return None


def _report(info: dict[str, Any]) -> ProgramReport:
    return ProgramReport(
        name=info["name"],
        state=ProgramState(info["statename"]),
        pid=info["pid"] or None,
        exit_status=info["exitstatus"],
        age_seconds=info["now"] - info["start"],
        problem=info["spawnerr"],
    )
