"""WebSockets of those who have not said yet who they are: a first word of theirs, within seconds, and not many at once.

The application inside asks for the password in the first message itself, as Prefect does; but it waits for that
message for ever, and fails on one that it did not expect.
"""

import asyncio
import json
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.web_login.password import is_same

_PATIENCE_SECONDS = 10.0
_MOST_STRANGERS = 100
_LONGEST_WORD = 4096
_UNWELCOME = 1008


@dataclass(slots=True)
class Strangers:
    """Opens sockets of `inside` to those who first say `credentials`, as Prefect's clients do.

    Beyond a hundred who have not said them, whoever has been silent longest is hung up on.
    """

    inside: ASGIApp
    credentials: str = field(repr=False)
    patience_seconds: float = _PATIENCE_SECONDS
    _silent: list[asyncio.Timeout] = field(default_factory=list)

    async def open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        known = over = False

        async def heard() -> Message:
            nonlocal known, over
            if over:
                return {"type": "websocket.disconnect", "code": _UNWELCOME}
            if known:
                return await receive()
            message = await self._first(receive)
            if message is not None and message["type"] != "websocket.receive":
                return message
            if message is not None and self._is_known(message):
                known = True
                return message
            over = True
            await send({"type": "websocket.close", "code": _UNWELCOME})
            return {"type": "websocket.disconnect", "code": _UNWELCOME}

        async def said(message: Message) -> None:
            if not over:
                await send(message)

        await self.inside(scope, heard, said)

    async def _first(self, receive: Receive) -> Message | None:
        """None if it does not come in time."""
        limit = asyncio.timeout(self.patience_seconds)
        try:
            async with limit:
                self._silent.append(limit)
                if len(self._silent) > _MOST_STRANGERS:
                    self._silent.pop(0).reschedule(0)
                return await receive()
        except TimeoutError:
            return None
        finally:
            if limit in self._silent:
                self._silent.remove(limit)

    def _is_known(self, message: Message) -> bool:
        word = message.get("text") or ""
        if len(word) > _LONGEST_WORD:
            return False
        try:
            told = json.loads(word)
        except (ValueError, RecursionError):
            return False
        token = told.get("token") if isinstance(told, dict) and told.get("type") == "auth" else None
        return isinstance(token, str) and is_same(token, self.credentials)
