"""supervisord's XML-RPC interface over its Unix socket."""

import contextlib
import http.client
import xmlrpc.client
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

from deployments.errors import BadInput, TargetUnreachable
from deployments.supervision.unix_http import UnixConnection

_TIMEOUT_SECONDS = 10.0


class Fault(IntEnum):
    """What supervisord may object; the numbers are its protocol."""

    SHUTTING_DOWN = 6
    BAD_NAME = 10
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70
    ALREADY_ADDED = 90
    STILL_RUNNING = 91
    CANNOT_READ = 92


class Objection(Exception):
    """supervisord answered with a fault that the caller has to judge."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


class Remote:
    """Calls methods of the supervisord behind a socket."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def call(self, method: str, *arguments: Any) -> Any:
        """Answer of `supervisor.<method>`. Raises `Objection`, or `TargetUnreachable` if nobody answers within 10 s."""
        with self._said_plainly(), self._proxy() as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def try_call(self, method: str, *arguments: Any, unless: tuple[Fault, ...]) -> bool:
        """Whether `supervisor.<method>` was done; False when a fault of `unless` says that there is nothing to do."""
        try:
            self.call(method, *arguments)
        except Objection as refusal:
            if refusal.fault in unless:
                return False
            raise
        return True

    @contextlib.contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except xmlrpc.client.Fault as fault:
            raise self._explained(fault) from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise TargetUnreachable(
                f"supervisord does not answer on {self._socket_path} ({error!r}): run `seatrial up`"
            ) from error

    def _explained(self, fault: xmlrpc.client.Fault) -> Exception:
        match fault.faultCode:
            case Fault.SHUTTING_DOWN:
                return TargetUnreachable(
                    f"the supervisord on {self._socket_path} is shutting down: run `seatrial up` once it is gone"
                )
            case Fault.CANNOT_READ:
                return BadInput(
                    f"supervisord cannot read its programs: {fault.faultString}: mend or remove the file that it names"
                )
            case code if code in set(Fault):
                return Objection(Fault(code))
        return TargetUnreachable(
            f"supervisord on {self._socket_path} answered {fault.faultString!r}: see supervisord.log"
        )

    @contextlib.contextmanager
    def _proxy(self) -> Iterator[xmlrpc.client.ServerProxy]:
        with xmlrpc.client.ServerProxy(
            "http://supervisord/RPC2", transport=_SocketTransport(self._socket_path)
        ) as proxy:
            yield proxy


class _SocketTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = UnixConnection(self._path, _TIMEOUT_SECONDS)
        self._connection = host, connection  # closed by `close`
        return connection
