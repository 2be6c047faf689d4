"""supervisord itself: its configuration, and how it is started apart from whoever asks."""

import glob
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

from deployments.atomic_files import write_atomically
from deployments.errors import BadInput, TargetUnreachable
from deployments.supervision.orphan_processes import MARK_VARIABLE
from deployments.supervision.program import PROGRAM_VARIABLE, TAKES_OVER_VARIABLE, ini_value

# Envoy holds two descriptors a request; the model servers a few.
_WANTED_DESCRIPTORS = 16_384
_WANTED_PROCESSES = 200
_START_SECONDS = 30.0
_LONGEST_SOCKET = 100
_BOUNDED = Path(__file__).with_name("supervisord_body_limit.py").resolve()


def socket_of(run_folder: Path) -> Path:
    """Where supervisord answers."""
    return run_folder / "supervisord.sock"


def write_configuration(run_folder: Path, home: Path, programs: Path, logs: Path) -> Path:
    """Writes supervisord's configuration and makes the folders it needs; returns the file.

    Raises `BadInput` for folders whose names it cannot hold.
    """
    if len(os.fsencode(socket_of(run_folder))) > _LONGEST_SOCKET:
        raise BadInput(f"{run_folder} is too long for a Unix socket: set SEATRIAL_HOME to a shorter path")
    for folder in (home, programs, logs):
        folder.mkdir(parents=True, exist_ok=True)
    programs.chmod(0o700)
    lines = [
        "[unix_http_server]",
        f"file={ini_value(str(socket_of(run_folder)))}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisord]",
        "identifier=seatrial",
        f"directory={ini_value(str(home))}",
        f"logfile={ini_value(str(logs / 'supervisord.log'))}",
        "logfile_maxbytes=10MB",
        "logfile_backups=3",
        "loglevel=info",
        f"pidfile={ini_value(str(run_folder / 'supervisord.pid'))}",
        "umask=077",
        f"minfds={_attainable(resource.RLIMIT_NOFILE, _WANTED_DESCRIPTORS)}",
        f"minprocs={_attainable(resource.RLIMIT_NPROC, _WANTED_PROCESSES)}",
        "nocleanup=true",
        *(["user=0"] if os.getuid() == 0 else []),  # else it warns at each start that it stays root
        "[include]",
        f"files={_include_pattern(programs)}",
        "",
    ]
    path = run_folder / "supervisord.conf"
    write_atomically(path, "\n".join(lines).encode(), mode=0o600)
    return path


def spawn(configuration: Path, run_folder: Path, home: Path) -> None:
    """Starts supervisord; it detaches itself (own session) once it has read its configuration.

    Raises `TargetUnreachable` with its complaint if it refuses to start.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name not in {PROGRAM_VARIABLE, TAKES_OVER_VARIABLE}
    }
    complaint = run_folder / "supervisord.stderr"
    with complaint.open("wb") as stderr:
        finished = subprocess.run(
            [sys.executable, "-P", str(_BOUNDED), "supervisor.supervisord", "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            cwd=home,
            env={**inherited, MARK_VARIABLE: str(run_folder)},
            start_new_session=True,
            timeout=_START_SECONDS,
            check=False,
        )
    said = complaint.read_text(errors="replace").strip()
    complaint.unlink(missing_ok=True)
    if finished.returncode != 0:
        raise TargetUnreachable(
            f"supervisord did not start ({said or f'exit code {finished.returncode}'}): mend this and run `seatrial up`"
        )


def _attainable(limit: int, wanted: int) -> int:
    _, hard = resource.getrlimit(limit)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _include_pattern(programs: Path) -> str:
    """Glob of the conf files. supervisord splits it at spaces, hence `?` for each."""
    return ini_value(re.sub(r"\s", "?", f"{glob.escape(str(programs))}/*.conf"))
