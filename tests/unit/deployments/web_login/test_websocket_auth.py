"""Who opens a WebSocket says first who he is, within seconds, and does not break what is inside."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from deployments.web_login import websocket_auth
from deployments.web_login.websocket_auth import Strangers

KNOWN = "seatrial:drawn"


async def _as_prefect(_: Scope, receive: Receive, send: Send) -> None:
    """Waits for a first message for ever, and for a second one; says what it heard."""
    await receive()
    await send({"type": "websocket.accept"})
    for _ in range(2):
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message["text"]})


def opened(*words: Any, patience: float = 60.0) -> list[Message]:
    """What a client is told that says so; then it is silent."""
    sent: list[Message] = []
    coming = iter([{"type": "websocket.connect"}, *words])

    async def receive() -> Message:
        message = next(coming, None)
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    strangers = Strangers(_as_prefect, KNOWN, patience)
    asyncio.run(strangers.open({"type": "websocket"}, receive, send))
    return sent


def said(text: str | None) -> Message:
    return {"type": "websocket.receive", "text": text, "bytes": None if text else b"x"}


def test_who_says_the_password_first_is_heard() -> None:
    first = json.dumps({"type": "auth", "token": KNOWN})
    told = opened(said(first), said("more"))
    assert [each.get("text") for each in told] == [None, first, "more"]


@pytest.mark.parametrize(
    "word",
    [
        "", "nonsense", "[]", "7", "null", '{"type": "auth"}', '{"type": "auth", "token": null}', "[" * 4_000,
        '{"type": "auth", "token": "\\ud800"}', '{"type": "auth", "token": ["a"]}', '{"type": "auth", "token": "é"}',
        json.dumps({"type": "other", "token": KNOWN}), json.dumps({"type": "auth", "token": KNOWN}) + " " * 5_000, None,
    ],
)  # fmt: skip
def test_whoever_says_anything_else_is_hung_up_on(word: str | None) -> None:
    told = opened(said(word), said("more"))
    assert [each["type"] for each in told] == ["websocket.accept", "websocket.close"]


def test_who_says_nothing_is_hung_up_on() -> None:
    assert [each["type"] for each in opened(patience=0.01)] == ["websocket.accept", "websocket.close"]


def test_beyond_a_number_the_longest_silent_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_auth, "_MOST_STRANGERS", 2)
    closed: list[int] = []

    async def scene() -> None:
        strangers = Strangers(_as_prefect, KNOWN, 60.0)

        async def one(number: int) -> None:
            coming = iter([{"type": "websocket.connect"}])

            async def receive() -> Message:
                message = next(coming, None)
                if message is None:
                    await asyncio.Event().wait()
                assert message is not None
                return message

            async def send(message: Message) -> None:
                if message["type"] == "websocket.close":
                    closed.append(number)

            await strangers.open({"type": "websocket"}, receive, send)

        tasks = []
        for number in range(3):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0)
        await asyncio.wait_for(tasks[0], 60)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scene())
    assert closed == [0]
