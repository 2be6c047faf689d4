"""Reading what a client sends, and no more of it than is allowed."""

from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive


async def body_within(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes | None:
    """A request's body; None for one of more than `limit` bytes, as soon as that is known.

    `headers` have names in lower case. Raises `ClientDisconnect` when the client leaves before its end.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        return None
    parts: list[bytes] = []
    received = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        received += len(part)
        if received > limit:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts) if len(parts) > 1 else part
