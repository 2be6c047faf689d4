"""What a page that is open is told: the parts that have changed, as server-sent events (HTML Standard, 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import orjson
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from deployments.access_control.principal import Principal
from deployments.errors import NotFound, SeatrialError
from flows.entrypoints.control_service.page.board import Board
from flows.entrypoints.control_service.page.live_look import EVERY, LiveLook
from flows.entrypoints.program_log import say

# A stream ends then, and the browser asks for it again: whoever may not any more gets none.
LASTS: Final = timedelta(minutes=5)
# What no look finds changed is made again so often.
_AT_LEAST_EVERY: Final = timedelta(seconds=10)
MOST_WATCHERS: Final = 200


@dataclass(slots=True)
class Pulse:
    """Looks while somebody watches, and wakes all watchers when something has changed. Of one event loop."""

    look: LiveLook
    watchers: int = 0
    _number: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _task: "asyncio.Task[None] | None" = None

    async def wait(self, number: int) -> None:
        """Returns when a look has another number than this, or after ten seconds."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._beat())
        if self._number in {0, number}:
            changed = self._changed
            try:
                async with asyncio.timeout(_AT_LEAST_EVERY.total_seconds()):
                    await changed.wait()
            except TimeoutError:
                return

    async def _beat(self) -> None:
        while self.watchers:
            await asyncio.sleep(EVERY.total_seconds() / 2)  # others may have made it look in between
            try:
                seen = await run_in_threadpool(self.look.now)
            except SeatrialError as error:
                say(f"the page cannot look: {error}")
                continue
            if seen.number != self._number:
                self._number = seen.number
                self._changed.set()
                self._changed = asyncio.Event()


async def changes(
    board: Board, pulse: Pulse, product: str, principal: Principal, since: str, seconds: Callable[[], float]
) -> AsyncIterator[ServerSentEvent]:
    """What has changed since the page was made, and then whatever changes; `since` is `EPOCH.REVISION`.

    A page of another service, or one whose list of products is not this one any more, is told to load anew.
    """
    epoch, _, shown = since.partition(".")
    if epoch != board.epoch or not shown.isdecimal():
        yield ServerSentEvent(event="reload", data="{}")
        return
    revision, ends, members = int(shown), seconds() + LASTS.total_seconds(), None
    pulse.watchers += 1
    try:
        while seconds() < ends:
            try:
                seen, newest, parts = await run_in_threadpool(board.parts, product, principal)
            except NotFound:
                yield ServerSentEvent(event="reload", data="{}")
                return
            if members not in (None, set(parts)):
                yield ServerSentEvent(event="reload", data="{}")
                return
            members = set(parts)
            changed = {name: part.html for name, part in parts.items() if part.since > revision}
            if changed:
                told = {"parts": changed, "trouble": seen.trouble}
                yield ServerSentEvent(event="parts", data=orjson.dumps(told).decode(), id=f"{board.epoch}.{newest}")
            revision = newest
            await pulse.wait(seen.number)
    finally:
        pulse.watchers -= 1
