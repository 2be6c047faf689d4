"""The endpoint of webhooks over an inbox, asked as the control service's server asks it."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.types import Message, Scope

from deployments.clock import ManualClock
from deployments.errors import SeatrialError
from deployments.metrics.feedback.rate_limit import Rates
from deployments.webhooks.group_commit import GroupCommit
from deployments.webhooks.hooks import Hook
from deployments.webhooks.inbox import Inbox
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.webhooks.endpoint import routes
from tests.unit.deployments.webhooks.deliveries import PRODUCT, START, delivery, hooks_in


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: Any
    headers: Mapping[str, str]


Pairs = Sequence[tuple[str, str]]


class Scene:
    """All sources' webhooks of two products; `failing` stands in the way of whoever opens the inbox."""

    def __init__(self, folder: Path, rate: int = 10**9) -> None:
        self.inbox = Inbox(f"sqlite:///{folder / 'journal.db'}")
        self.hooks = hooks_in(folder / "keys")
        for hook in list(hooks_in(folder / "keys", product="other").all()):
            self.hooks.keep(hook)
        self.clock = ManualClock(START)
        self.failing: SeatrialError | None = None
        self.woken = 0
        commit = GroupCommit(self._open, self._wake)
        self.app = make_app(routes(self.hooks, commit, Rates(rate, self.clock), self.clock))

    def _open(self) -> Inbox:
        if self.failing is not None:
            raise self.failing
        return self.inbox

    def _wake(self) -> None:
        self.woken += 1

    def hook(self, source: str, product: str = PRODUCT) -> Hook:
        return self.hooks.find(source, product)

    def good(self, source: str, product: str = PRODUCT) -> tuple[dict[str, str], bytes]:
        return delivery(self.hook(source, product), self.clock.now())

    def send(self, path: str, headers: Mapping[str, str] | Pairs, body: bytes, **more: Any) -> Answer:
        return asyncio.run(self.ask(path, headers, body, **more))

    async def ask(
        self,
        path: str,
        headers: Mapping[str, str] | Pairs,
        body: bytes,
        *,
        method: str = "POST",
        cut: int | None = None,
    ) -> Answer:
        """`headers` without length and type get them; only `cut` bytes come of the body before the client leaves."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        names = {name for name, _ in pairs}
        added = {"content-type": "application/json", "content-length": str(len(body))}
        pairs += [(name, value) for name, value in added.items() if name not in names]
        path, _, query = path.partition("?")
        raw = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs]
        scope: Scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(errors="replace"), "query_string": query.encode(), "root_path": "",
            "headers": raw, "client": ("127.0.0.1", 1), "server": ("control", 80), "state": {},
        }  # fmt: skip
        return await _asked(self.app, scope, _messages(body, cut))


def _messages(body: bytes, cut: int | None) -> Iterable[Message]:
    if cut is None:
        yield {"type": "http.request", "body": body, "more_body": False}
        return
    yield {"type": "http.request", "body": body[:cut], "more_body": True}
    while True:
        yield {"type": "http.disconnect"}


async def _asked(app: Any, scope: Scope, messages: Iterable[Message]) -> Answer:
    coming = iter(messages)
    said: list[Message] = []

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in said)
    headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    content = json.loads(body) if headers.get("content-type") == "application/json" else body
    return Answer(said[0]["status"], content, headers)
