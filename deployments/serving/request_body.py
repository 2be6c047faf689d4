"""Reading what a client sends, and no more of it than is allowed."""

from collections.abc import Callable, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from deployments.serving.memory_budget import SMALL_BYTES


async def body_within(
    headers: Mapping[bytes, bytes], receive: Receive, limit: int, take: Callable[[int], bool] = bool
) -> bytes | None:
    """A request's body; None for one of more than `limit` bytes, as soon as that is known.

    For each piece of a large one `take` is asked whether there is room for so many bytes more; if not, raises
    `Unanswerable`, 503.

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
        if received > SMALL_BYTES and part and not take(len(part)):
            from deployments.serving.input_validation import Unanswerable  # heavy; the control service has no such room

            raise Unanswerable(503, "large requests take all the memory that they may: come again in a second")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts) if len(parts) > 1 else part
