"""Model servers as processes of this machine, each on a Unix socket, kept by supervisord.

Everything is in supervisord and in its conf files: any process, also a new one after a crash, sees the same.
"""

import contextlib
import hashlib
import http.client
import os
import re
import sys
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import deployments
from deployments.clock import Clock
from deployments.errors import TargetUnreachable
from deployments.fencing import Fences
from deployments.key_files import key
from deployments.printable import said_by
from deployments.request_ids import KEY_NAME
from deployments.request_ids import VARIABLE as KEY_VARIABLE
from deployments.settings import Settings
from deployments.supervision import Program, ProgramReport, ProgramState, Supervisor, UnixConnection
from deployments.targets.exit_reason import last_words_in, stage_in
from deployments.targets.protocol import JSON, POLL, Answer, Launch, Replica, ReplicaState
from deployments.targets.server_flags import server_flags

_NAME = re.compile(r"model-(?P<product>.+)-v(?P<version>\d+)-(?P<index>\d+)")
# 107 bytes on Linux, 103 on macOS.
_LONGEST_SOCKET = 103
_READY_TIMEOUT_SECONDS = 2.0
_ANSWER_TIMEOUT_SECONDS = 10.0
# No user gets these answers, so that servers must not count them among theirs.
_HEADERS = {"x-seatrial-mirrored": "1"}
_SURPLUS_DRAIN = timedelta(seconds=30)
# Never reached: `retire` says how long a server may take.
_LONGEST_DRAIN = timedelta(hours=1)
# A server that ends sooner has not started, which supervisord tries a few times only.
_START_SECONDS = 15


FORK_SERVER = "forkserver"


class ProcessTarget:
    """Runs model servers on this machine (see `Target`). The supervisor must be up; this class does not start it."""

    def __init__(self, supervisor: Supervisor, settings: Settings) -> None:
        self._supervisor = supervisor
        self._settings = settings
        self._fences = Fences(settings.home.resolve() / "fences")

    def launch(self, launch: Launch, token: int | None = None) -> None:
        """See `Target`. Servers beyond the wanted number are given 30 s to finish."""
        allowed = partial(self._fences.admit, launch.product, token)
        allowed()
        wanted = [_name(launch.product, launch.version, index) for index in range(launch.replicas)]
        ready = {
            each.name for each in self.replicas(launch.product, launch.version) if each.state is ReplicaState.READY
        }
        for name in wanted:
            if name not in ready:
                self._supervisor.put(self._program(name, launch), allowed)
        surplus = [name for name in self._names(launch.product, launch.version) if name not in wanted]
        self._remove(surplus, _SURPLUS_DRAIN, allowed)

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        """See `Target`."""
        reports = self._supervisor.reports()
        return tuple(self._replica(name, reports.get(name)) for name in self._names(product, version))

    def serving(self, products: Collection[str]) -> set[str]:
        """Those of `products` of which a server answers, whichever version it has."""
        known = [match for name in self._supervisor.known() if (match := _NAME.fullmatch(name))]
        return {
            match["product"]
            for match in known
            if match["product"] in products and _is_ready(str(self._socket(match[0])))
        }

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """See `Target`."""
        clock.sleep(min(within, POLL))

    def versions(self, product: str) -> tuple[int, ...]:
        """See `Target`."""
        found = (_NAME.fullmatch(name) for name in self._supervisor.known())
        return tuple(sorted({int(match["version"]) for match in found if match and match["product"] == product}))

    def unsettled(self, product: str, version: int) -> str:
        """See `Target`: a process is what it was started as."""
        del product, version
        return ""

    def ask(self, replica: Replica, path: str, body: bytes, media_type: str = JSON) -> Answer:
        """See `Target`."""
        try:
            return _requested(replica.address, "POST", path, body, _ANSWER_TIMEOUT_SECONDS, media_type)
        except (OSError, http.client.HTTPException) as error:
            raise TargetUnreachable(
                f"{replica.name} does not answer on {replica.address} ({said_by(error)}): see {self._log(replica.name)}"
            ) from error

    def newest_token(self, product: str) -> int:
        """See `Target.newest_token`."""
        return self._fences.newest(product)

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        """See `Target`. A server that is still answering after `drain` is killed."""
        allowed = partial(self._fences.admit, product, token)
        allowed()
        self._remove(self._names(product, version), drain, allowed)

    def _names(self, product: str, version: int) -> list[str]:
        """Programs of one version by replica number."""
        found = (_NAME.fullmatch(name) for name in self._supervisor.known())
        ours = (match for match in found if match and (match["product"], int(match["version"])) == (product, version))
        return [match[0] for match in sorted(ours, key=lambda match: int(match["index"]))]

    def _program(self, name: str, launch: Launch) -> Program:
        socket = self._socket(name)
        server = [sys.executable, "-P", "-m", "deployments.serving", "--model", str(launch.model.resolve())]
        identity = ["--product", launch.product, "--version", str(launch.version), "--uds", str(socket)]
        trusted = [word for kind in (*self._settings.trusted_types, *launch.trusted) for word in ("--trust", kind)]
        digest = ("--digest", launch.digest) if launch.digest else ()
        options = server_flags(launch.server, launch.key, self._settings.inference_log)
        return Program(
            name=name,
            command=(*server, *identity, *digest, *trusted, *options),
            directory=self._settings.project.resolve(),
            log=self._log(name),
            environment=self._environment(),
            start_seconds=_START_SECONDS,
            stop_wait=_LONGEST_DRAIN,
            takes_over=socket,
        )

    def _environment(self) -> dict[str, str]:
        secret = self._settings.log_secret
        secrets = {"SEATRIAL_LOG_SECRET": secret.get_secret_value()} if secret else {}
        return _imports_of(self._settings) | secrets | {KEY_VARIABLE: str(self._requests_key())}

    def _requests_key(self) -> Path:
        """The file of the key that request ids are sealed with, drawn first if there is none."""
        key(self._settings.keys_folder, KEY_NAME)
        return self._settings.keys_folder.resolve() / KEY_NAME

    def _replica(self, name: str, report: ProgramReport | None) -> Replica:
        address = str(self._socket(name))
        if report is None:
            return Replica(name, address, ReplicaState.FAILED, "supervisord does not run it")
        match report.state:
            case ProgramState.STARTING | ProgramState.RUNNING:
                if _is_ready(address):
                    return Replica(name, address, ReplicaState.READY)
                return Replica(name, address, ReplicaState.STARTING, stage_in(self._log(name)))
            case ProgramState.STOPPING:
                return Replica(name, address, ReplicaState.STOPPING)
        last = last_words_in(self._log(name))
        if report.state is ProgramState.BACKOFF and not last.final:
            return Replica(name, address, ReplicaState.STARTING)
        detail = last.text or report.problem or f"it is {report.state}, exit code {report.exit_status}"
        return Replica(name, address, ReplicaState.FAILED, detail)

    def _remove(self, names: list[str], drain: timedelta, allowed: Callable[[], None]) -> None:
        if not names:
            return
        with ThreadPoolExecutor(len(names)) as each:
            list(each.map(lambda name: self._supervisor.remove(name, within=drain, allowed=allowed), names))
        for name in names:
            self._socket(name).unlink(missing_ok=True)

    def _socket(self, name: str) -> Path:
        readable = self._settings.run_folder / f"{name}.sock"
        if len(os.fsencode(readable)) <= _LONGEST_SOCKET:
            return readable
        return readable.with_name(f"m-{hashlib.sha256(name.encode()).hexdigest()[:20]}.sock")

    def _log(self, name: str) -> Path:
        return self._settings.logs / f"{name}.log"


def fork_server(settings: Settings) -> Program:
    """What has imported all that model servers need, and forks for each of them; they do without where it is not up."""
    return Program(
        name=FORK_SERVER,
        command=(sys.executable, "-P", "-m", "deployments.serving.forkserver", str(settings.run_folder)),
        directory=settings.project.resolve(),
        log=settings.logs / f"{FORK_SERVER}.log",
        environment=_imports_of(settings),
    )


def served_by(program: str) -> str | None:
    """The product of which a program of supervisord's is a server; None for any other program."""
    found = _NAME.fullmatch(program)
    return found["product"] if found else None


def _imports_of(settings: Settings) -> dict[str, str]:
    """What decides which modules a server imports, and how they compute."""
    ours = Path(deployments.__file__).resolve().parent.parent
    # One row at a time gains nothing from many threads, and they take the cores from the other servers.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return threads | {"PYTHONPATH": f"{ours}{os.pathsep}{settings.project.resolve()}"}


def _name(product: str, version: int, index: int) -> str:
    return f"model-{product}-v{version}-{index}"


def _is_ready(address: str) -> bool:
    try:
        return _requested(address, "GET", "/v2/health/ready", None, _READY_TIMEOUT_SECONDS).status == 200
    except (OSError, http.client.HTTPException):
        return False


def _requested(
    address: str, method: str, path: str, body: bytes | None, timeout: float, media_type: str = JSON
) -> Answer:
    with contextlib.closing(UnixConnection(Path(address), timeout)) as connection:
        connection.request(method, path, body, _HEADERS | {"content-type": media_type})
        response = connection.getresponse()
        return Answer(response.status, response.read())
