"""Where the parts of the platform listen: chosen once, kept in `<home>/platform.json`, found by every later command."""

import errno
import json
import re
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from deployments.atomic_files import write_atomically
from deployments.errors import PlatformUnreachable
from deployments.settings import Settings

_TRIES = 50


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ports of the platform's parts, on `host`. None: that part was not started."""

    host: str
    gateway: int | None = None
    prefect: int | None = None
    mlflow: int | None = None

    def url(self, part: str) -> str | None:
        """`http://…` of `gateway`, `prefect` or `mlflow`; None for a part that was not started."""
        port: int | None = getattr(self, part)
        host = self.host if part == "gateway" else "127.0.0.1"
        return None if port is None else f"http://{host}:{port}"

    @property
    def gateway_from_here(self) -> str | None:
        """The gateway's `http://…` for processes of this machine, also where it listens on all of its addresses."""
        loopback = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound
        host = loopback.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)
        return None if self.gateway is None else f"http://{host}:{self.gateway}"


def read_addresses(settings: Settings) -> Addresses:
    """What was chosen at the last start; nothing but the host when there was none.

    A damaged file is put away, and what it held is found in what the parts were started with: a gateway that serves is
    never taken for one that was not started.
    """
    path = _file(settings)
    try:
        return _parsed(json.loads(path.read_bytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, RecursionError):
        with suppress(OSError):
            path.replace(path.with_name(f"{path.name}.damaged"))
    found = _as_started(settings)
    if found != Addresses(settings.gateway_host):
        write_addresses(settings, found)
    return found


def _parsed(document: object) -> Addresses:
    if not isinstance(document, dict):
        raise TypeError(document)
    found = Addresses(**document)
    ports = (found.gateway, found.prefect, found.mlflow)
    if not isinstance(found.host, str) or not all(port is None or type(port) is int for port in ports):
        raise TypeError(document)
    return found


def _as_started(settings: Settings) -> Addresses:
    """By what Envoy starts with, and by the programs that supervisord keeps."""
    home = settings.home.resolve()
    found = Addresses(settings.gateway_host)
    programs = home / "programs"  # without those of parts that `seatrial down` has ended
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
        (programs / "gateway.sh").stat()
        bootstrap = json.loads((home / "gateway" / "bootstrap.json").read_bytes())
        listener = bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"]
        found = replace(found, host=str(listener["address"]), gateway=int(listener["port_value"]))
    return replace(
        found,
        prefect=_port_in(programs / "prefect-server.sh"),
        mlflow=_port_in(programs / "mlflow-server.sh"),
    )


def _port_in(script: Path) -> int | None:
    """The port that a program was told to listen on."""
    with suppress(OSError):
        told = re.search(r"--port (\d{1,5})\b", script.read_text(errors="replace"))
        return int(told[1]) if told else None
    return None


def write_addresses(settings: Settings, addresses: Addresses) -> None:
    """Keep them for later commands."""
    write_atomically(_file(settings), json.dumps(asdict(addresses)).encode())


def free_port(wanted: int, host: str) -> int:
    """`wanted` if nobody listens there, else the next that is free. Raises `PlatformUnreachable` when 50 are taken."""
    for port in range(wanted, min(wanted + _TRIES, 65536)):
        if is_free(port, host):
            return port
    raise PlatformUnreachable(
        f"ports {wanted} to {wanted + _TRIES - 1} on {host} are all taken ({holder_of(wanted)} has the first): "
        "set SEATRIAL_GATEWAY_PORT, SEATRIAL_PREFECT_PORT or SEATRIAL_MLFLOW_PORT to others"
    )


def why_port_unused(port: int) -> str:
    """Why `port` is not used: who listens there, or that this home took another one earlier, which stays its own."""
    holder = _listener(port)
    return f"{holder} has it" if holder else "an earlier start took another, which it keeps"


def holder_of(port: int) -> str:
    """The process that listens on `port`, as `name (pid)`; "another process" if the system does not say."""
    return _listener(port) or "another process"


def _listener(port: int) -> str | None:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens:
                pid = connection.pid
                return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "a process of another user"
    except psutil.Error:
        pass
    return None


def is_free(port: int, host: str) -> bool:
    """Whether nobody listens there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise PlatformUnreachable(
                f"cannot listen on {host}: {error.strerror}: set SEATRIAL_GATEWAY_HOST to an address of this machine"
            ) from error
    return True


def _file(settings: Settings) -> Path:
    return settings.home / "platform.json"
