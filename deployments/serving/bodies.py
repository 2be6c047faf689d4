"""Reading what a client sends, and no more of it than is allowed."""

from starlette.requests import Request


async def body_within(request: Request, limit: int) -> bytes | None:
    """The request's body; None for one of more than `limit` bytes, as soon as that is known."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        return None
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > limit:
            return None
    return bytes(received)
