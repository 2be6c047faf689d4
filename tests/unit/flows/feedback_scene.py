"""The endpoint of feedback over a ledger, as tests ask it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx

from deployments.errors import PlatformUnreachable
from deployments.metrics.feedback.store import FeedbackLedger
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.feedback import routes
from tests.feedback_door import Door, sealed

ITEM = {"product": "shop", "version": 3, "metric": "clicks", "value": 1.5}
BY_KEY = {"product": "shop", "key": "ann", "metric": "clicks", "value": 1}
GATEWAY = {"x-seatrial-sender": "203.0.113.7"}


def about(request_id: str, **more: Any) -> dict[str, Any]:
    """One value on an answer that a server gave."""
    return ITEM | {"request_id": sealed(request_id)} | more


class Scene:
    """The endpoint over a ledger; None: its database is away."""

    def __init__(
        self, ledger: FeedbackLedger | None, door: Door | None = None, *origins: str, behind_gateway: bool = True
    ) -> None:
        self.door = door or Door()
        self._ledger = ledger
        admission = self.door.open()
        self._app = make_app(
            routes(self._open, lambda: admission, self.door.clock, origins, behind_gateway=behind_gateway)
        )

    def _open(self) -> FeedbackLedger:
        if self._ledger is None:
            raise PlatformUnreachable("the database is away; its password is hunter2")
        return self._ledger

    def send(
        self,
        content: Any,
        kind: str | None = "application/json",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """`content` bytes, or what becomes JSON."""
        body = content if isinstance(content, bytes) or hasattr(content, "__aiter__") else json.dumps(content).encode()

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
                told = {**({"content-type": kind} if kind else {}), **(headers or {})}
                return await client.request(method, "/seatrial/feedback", content=body, headers=told)

        return asyncio.run(send())
