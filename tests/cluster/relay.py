"""A way to the API server that a test can cut: what a runner sees whose API server is away, on any cluster."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Relay:
    """Passes bytes on to the API server of the current context, from a port of this machine."""

    def __init__(self) -> None:
        server = urlsplit(_configuration().host)
        self.host = str(server.hostname)
        self._server = (self.host, server.port or 443)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._listener = _listening(0)
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accept()

    def kubeconfig(self, path: Path, namespace: str) -> Path:
        """Of whoever we are, by way of this."""
        return kubeconfig(path, namespace, server=self.address, known_as=self.host)

    def drop(self) -> int:
        """Every connection breaks; how many there were."""
        with self._guard:
            broken, self._open = self._open, set()
        for each in broken:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        return len(broken) // 2

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens while the block lasts."""
        port = self._listener.getsockname()[1]
        self.close()
        try:
            yield
        finally:
            self._listener = _listening(port)
            self._accept()

    def close(self) -> None:
        """Nobody listens any more, and every connection breaks."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        threading.Thread(target=self._work, args=(self._listener,), daemon=True).start()

    def _work(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(self._server, 5)
                except OSError:
                    near.close()
                    continue
                with self._guard:
                    self._open |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def kubeconfig(path: Path, namespace: str, *, server: str = "", known_as: str = "", token: str = "") -> Path:
    """The current cluster, for ourselves or whoever has `token`; `server` shows the certificate of `known_as`."""
    found = _configuration()
    cluster: dict[str, Any] = {"server": server or found.host, "certificate-authority": found.ssl_ca_cert}
    if known_as:
        cluster["tls-server-name"] = known_as
    user = {"token": token} if token else {"client-certificate": found.cert_file, "client-key": found.key_file}
    if not token and (bearer := found.api_key.get("authorization")):
        user = {"token": bearer.removeprefix("Bearer ")}
    document = {
        "clusters": [{"name": "tried", "cluster": cluster}],
        "users": [{"name": "runner", "user": user}],
        "contexts": [{"name": "tried", "context": {"cluster": "tried", "user": "runner", "namespace": namespace}}],
        "current-context": "tried",
    }
    path.write_text(json.dumps(document))
    return path


def _configuration() -> Any:
    from kubernetes import client, config

    found = client.Configuration()
    config.load_kube_config(client_configuration=found)
    return found


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := one.recv(65_536):
            other.sendall(part)
    for each in (one, other):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
