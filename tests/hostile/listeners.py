"""Every listener of a platform: how it is reached, what it is sent, and what it must never answer."""

import http.client
import json
import random
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from deployments.supervision import UnixConnection

# Of a server of ours nothing but "come again" is right beyond 499.
_BUSY = frozenset({503})
_OPEN = {"prefect": {"/api/health", "/api/ready", "/seatrial/login"}, "mlflow": {"/health", "/seatrial/login"}}
# What changes Envoy, or shows what is in its memory; `drain_listeners` is what a handover needs.
ADMIN_SHUT = (
    "/quitquitquit", "/healthcheck/fail", "/healthcheck/ok", "/reset_counters", "/logging?level=trace",
    "/runtime_modify?a=b", "/runtime", "/cpuprofiler?enable=y", "/heapprofiler?enable=y", "/contention", "/certs",
    "/hystrix_event_stream", "/memory", "/heap_dump", "/allocprofiler?enable=y", "/init_dump", "/tap", "/",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sent:
    """What one connection was told, and by what it is known: `path` is empty for what is no request."""

    kind: str
    words: bytes
    method: str = ""
    path: str = ""

    @property
    def is_request(self) -> bool:
        return bool(self.path)

    @property
    def has_end(self) -> bool:
        """Whether an answer must come: who asks for another protocol may be left with silence."""
        return self.is_request and b"\r\nupgrade: websocket" not in self.words


# What is wrong with an answer to what was sent: status and content; "" if nothing is.
Oracle = Callable[[Sent, int, bytes], str]


def _nothing(_: Sent, __: int, ___: bytes) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Listener:
    """One place that listens; `place` is a port of this machine, or a Unix socket.

    `paths` are what it is asked for beside nonsense; `host` is the name it goes by. `speaks_http`: whether it answers
    in HTTP at all. `failing`: further codes from 500 on that its library gives to nonsense.
    """

    name: str
    place: int | Path
    host: str
    paths: tuple[str, ...]
    oracle: Oracle = _nothing
    bodies: Callable[[random.Random], tuple[str, bytes]] | None = None
    speaks_http: bool = True
    failing: frozenset[int] = frozenset()
    headers: tuple[bytes, ...] = ()
    secrets: tuple[bytes, ...] = field(default=(), repr=False)

    def connected(self, patience: float, source: str = "127.0.0.1") -> socket.socket:
        if isinstance(self.place, int):
            client = socket.create_connection(("127.0.0.1", self.place), 20, (source, 0))
        else:
            client = socket.socket(socket.AF_UNIX)
            try:
                client.connect(str(self.place))  # with a time limit it would fail at once where many are in line
            except OSError:
                client.close()
                raise
        client.settimeout(patience)
        return client

    def connection(self, timeout: float = 30) -> http.client.HTTPConnection:
        """For whoever is well behaved."""
        if isinstance(self.place, int):
            return http.client.HTTPConnection("127.0.0.1", self.place, timeout=timeout)
        return UnixConnection(self.place, timeout)

    def wrong(self, sent: Sent, status: int, content: bytes) -> str:
        """What is wrong with an answer, in words; "" if nothing is."""
        if status >= 500 and status not in _BUSY | self.failing:
            return f"{status}"
        if leaked := [secret for secret in self.secrets if secret in content]:
            return f"{len(leaked)} secrets came back"
        if b"Traceback (most recent" in content:
            return "a traceback came back"
        return self.oracle(sent, status, content)


def only_open_paths(part: str) -> Oracle:
    """Without a password nothing but health and the login page."""

    def wrong(sent: Sent, status: int, content: bytes) -> str:
        if b"auth_success" in content:
            return "a WebSocket without a password"
        if status >= 400 or status < 200:
            return ""
        path = unquote(re.sub(r"^https?://[^/]*", "", sent.path).partition("?")[0])
        opened = sent.method in {"GET", "HEAD"} and path in _OPEN[part]
        return "" if opened and status == 200 else f"{status} without a password"

    return wrong


def nothing_stored(sent: Sent, status: int, content: bytes) -> str:
    """Feedback about answers that nobody was given, and a list of nothing, is not counted."""
    if status not in {200, 202} or not sent.path.startswith("/seatrial/feedback"):
        return ""
    try:
        stored = json.loads(content or b"{}").get("stored", 0)
    except ValueError:
        return "a success that is no JSON"
    return f"{stored} values were stored" if stored else ""


def shut_admin(sent: Sent, status: int, _: bytes) -> str:
    """Orders that would end or change the gateway, and what is in its memory."""
    plain = sent.path.partition("?")[0]
    shut = any(plain == each.partition("?")[0] for each in ADMIN_SHUT)
    return f"{status} for {sent.method} {sent.path}" if shut and 200 <= status < 400 else ""


def hidden_answers(sent: Sent, status: int, _: bytes) -> str:
    """What others were answered is not for users."""
    plain = sent.path.partition("?")[0]
    hidden = plain in {"/seatrial/answers", "/seatrial/users", "/seatrial/counts"}
    return f"{status} for {sent.path}" if hidden and 200 <= status < 400 else ""


def never_a_word(sent: Sent, status: int, content: bytes) -> str:
    """To whoever knows no token."""
    del sent
    return f"it said {content[:100]!r}" if content or status else ""
