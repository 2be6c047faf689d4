"""A client that sends whatever it is given, and reads answers as far as they are HTTP."""

import re
import socket
from contextlib import suppress
from dataclasses import dataclass, field

from tests.hostile.listeners import Listener, Sent

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_MOST = 4 << 20
# How long whoever gets no answer to what is no request waits for one; to be heard; and for an answer to a request.
_PATIENCE_SECONDS, _LONG_SECONDS, _LONGEST_SECONDS = 0.03, 20.0, 180.0


@dataclass
class Client:
    """Keeps its connection from request to request, as long as the listener does."""

    listener: Listener
    _kept: socket.socket | None = field(default=None)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def answers(self, sent: Sent) -> list[tuple[int, bytes]]:
        """Status, and head and body, of every answer; a status of 0 for words that are no HTTP. Raises `OSError`."""
        return [self._answer(sent)] if sent.has_end else self._all_answers(sent)

    def _all_answers(self, sent: Sent) -> list[tuple[int, bytes]]:
        heard = b""
        with self.listener.connected(_PATIENCE_SECONDS) as client, suppress(OSError):
            client.settimeout(_LONG_SECONDS)
            client.sendall(sent.words)
            client.settimeout(_PATIENCE_SECONDS)
            while len(heard) < _MOST and (part := client.recv(1_000_000)):
                heard += part
        statuses = [int(each) for each in _STATUS.findall(heard)]
        return [(status, heard) for status in statuses] or [(0, heard)]

    def _answer(self, sent: Sent) -> tuple[int, bytes]:
        was_kept = self._kept is not None
        try:
            return self._exchanged(sent)
        except (ConnectionError, TimeoutError):
            self.close()
            if not was_kept:
                raise
            return self._exchanged(sent)  # the listener hung up between two requests

    def _exchanged(self, sent: Sent) -> tuple[int, bytes]:
        client = self._kept = self._kept or self.listener.connected(_LONGEST_SECONDS)
        with suppress(ConnectionError):  # it may have been refused and hung up on before its end
            client.sendall(sent.words)
        heard = b""
        while (whole := _whole(heard, sent.method)) is None:
            part = client.recv(1_000_000)
            if not part:
                whole = False
                break
            heard += part
        if not whole or b"connection: close" in heard[:2_000].lower():
            self.close()
        found = _STATUS.match(heard)
        if not heard:
            raise ConnectionResetError("no answer")
        return (int(found[1]) if found else 0), heard


def _whole(heard: bytes, method: str) -> bool | None:
    """Whether the answer is complete and the connection can go on; None as long as more is to come."""
    head, end, body = heard.partition(b"\r\n\r\n")
    found = _STATUS.match(head)
    if not end:
        return None
    if found is None or found[1] == b"101" or len(heard) > _MOST:
        return False
    if found[1].startswith(b"1"):
        return _whole(body, method)
    if method == "HEAD" or found[1] in {b"204", b"304"} or _is_all(head, body):
        return True
    return None


def _is_all(head: bytes, body: bytes) -> bool:
    if _CHUNKED.search(head):
        return body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(head)
    return length is not None and len(body) >= int(length[1])
