"""What supervisord is to keep running, and the two files that tell it so.

The script holds the command and its environment: a shell's quotes carry any value exactly, while supervisord's own
`environment=` loses some (both kinds of quotes, ` ;`, ` #`, newlines). The conf holds how to keep the script running,
and the script's digest, so that supervisord sees a change in either. Secrets stay out of supervisord and of its log.
"""

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import ceil
from pathlib import Path

from deployments.errors import BadInput

PROGRAM_VARIABLE = "SEATRIAL_PROGRAM"
TAKES_OVER_VARIABLE = "SEATRIAL_TAKES_OVER"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOST_BY_INI = re.compile(r"[\r\n\0]|\s[;#]|^\s|\s$")


class ProgramState(StrEnum):
    """What supervisord is doing with a program; the names are its own, except `ABSENT`."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"  # ended too early, will be tried again
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"  # ended too early too often, given up
    UNKNOWN = "UNKNOWN"
    ABSENT = "ABSENT"  # supervisord does not know the program

    @property
    def has_process(self) -> bool:
        """Whether a process of the program exists."""
        return self in {ProgramState.STARTING, ProgramState.RUNNING, ProgramState.STOPPING}


@dataclass(frozen=True, slots=True)
class ProgramReport:
    """A program as supervisord sees it.

    `exit_status` is the last one; 0 before any, and after an end in its first `start_seconds`, which supervisord does
    not note. `age_seconds` counts from its last start; `problem` is empty when all is well.
    """

    name: str
    state: ProgramState
    pid: int | None
    exit_status: int
    age_seconds: int
    problem: str


@dataclass(frozen=True, slots=True)
class Program:
    """A command to keep running.

    It counts as up after `start_seconds`; ending before that uses up one of `start_retries`. `stop_wait` is how long
    SIGTERM has to work before SIGKILL. `takes_over` is a Unix socket that a second copy takes away from the first:
    after a crash of supervisord the first copy then serves until that has happened.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    restart: bool = True
    start_seconds: int = 1
    start_retries: int = 3
    stop_wait: timedelta = timedelta(seconds=10)
    stop_group: bool = True
    takes_over: Path | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadInput(f"{self.name!r} cannot name a program: use small letters, digits and dashes, at most 100")
        if not self.command:
            raise BadInput(f"program {self.name} has no command: give at least the executable")
        for variable in self.environment:
            if not _VARIABLE.fullmatch(variable):
                raise BadInput(
                    f"program {self.name}: {variable!r} cannot name an environment variable: use letters, digits and _"
                )


def script_of(program: Program) -> bytes:
    """Shell script that becomes the program: environment, folder, command."""
    environment = {
        **program.environment,
        TAKES_OVER_VARIABLE: str(program.takes_over or ""),
    }
    lines = [
        f"# Program {program.name}, written by Seatrial. May hold secrets.",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())),
        f"cd {shlex.quote(str(program.directory))} || exit 1",
        f"exec {shlex.join(program.command)}",
        "",
    ]
    text = "\n".join(lines)
    if "\0" in text:
        raise BadInput(f"program {program.name}: its command or environment holds a NUL character: remove it")
    return text.encode()


def conf_of(program: Program, script: Path) -> bytes:
    """Section of supervisord's configuration that keeps `script` running."""
    digest = hashlib.sha256(script_of(program)).hexdigest()
    lines = [
        f"[program:{program.name}]",
        f"command={ini_value(f'/bin/sh {shlex.quote(str(script))}')}",
        f'environment={PROGRAM_VARIABLE}="{program.name}",SEATRIAL_SCRIPT="{digest}"',
        "autostart=true",
        f"autorestart={_ini_bool(program.restart)}",
        f"startsecs={program.start_seconds}",
        f"startretries={program.start_retries}",
        "stopsignal=TERM",
        f"stopwaitsecs={ceil(program.stop_wait.total_seconds())}",
        f"stopasgroup={_ini_bool(program.stop_group)}",
        "killasgroup=true",
        "redirect_stderr=true",
        # supervisord expands this one value twice
        f"stdout_logfile={ini_value(ini_value(str(program.log)))}",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=3",
        "",
    ]
    return "\n".join(lines).encode()


def ini_value(text: str) -> str:
    """`text` as supervisord reads it back unchanged. Raises `BadInput` for what its files cannot hold."""
    if _LOST_BY_INI.search(text):
        raise BadInput(
            f"{text!r} cannot stand in supervisord's configuration: use a path without ' ;', ' #' and line ends"
        )
    return text.replace("%", "%%")


def _ini_bool(value: bool) -> str:
    return "true" if value else "false"
