"""HTTP over a Unix socket."""

import http.client
import socket
from pathlib import Path

from deployments.account_isolation import is_same_account


class UnixConnection(http.client.HTTPConnection):
    """A connection to the server that listens at `path`; each step of it may take `timeout` seconds."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connects, or leaves no open socket behind."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
            if not is_same_account(self.sock):
                raise PermissionError(f"another account listens at {self._path}")
        except OSError:
            self.close()
            raise
