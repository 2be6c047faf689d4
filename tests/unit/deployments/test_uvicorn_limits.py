"""What a server of ours does with clients that take more than they should: real sockets, and no waiting."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from deployments.uvicorn_limits import BoundedConnection, BoundedServer

LIVE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    if scope["path"] == "/body":
        await request.body()
    response: Response = PlainTextResponse("x" * 30_000_000 if scope["path"] == "/much" else "yes")
    await response(scope, receive, send)


class Short(BoundedConnection):
    """Impatient enough for a test."""

    most, asking_seconds, taking_seconds = 3, 0.0, 0.0


@contextlib.asynccontextmanager
async def served(protocol: type[BoundedConnection]) -> AsyncIterator[tuple[BoundedServer, int]]:
    config = uvicorn.Config(_application, http=protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = BoundedServer(config)
    config.load()
    server.lifespan = config.lifespan_class(config)

    def made() -> Any:
        return protocol(config=config, server_state=server.server_state, app_state={})

    listening = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    try:
        yield server, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0)


async def heard(reader: asyncio.StreamReader) -> bytes:
    """To the end of the connection."""
    words = b""
    with contextlib.suppress(ConnectionError):
        while part := await asyncio.wait_for(reader.read(65_536), 60):
            words += part
    return words


def statuses(words: bytes) -> list[str]:
    return [each.decode() for each in re.findall(rb"HTTP/1\.1 (\d{3})", words)]


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b"x-a: " + b"b" * 10_000 + b"\r\n"),
        (b"GET /", b"a" * 10_000),
        (b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-a: b\r\n" * 1_000),
        (b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;", b"a" * 10_000),
    ],
    ids=["headers", "an address", "trailers", "a chunk's extension"],
)
def test_a_head_without_end_is_refused(begun: bytes, more: bytes) -> None:
    async def scene() -> bytes:
        async with served(BoundedConnection) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                writer.write(begun)
                for _ in range(100):
                    writer.write(more)
                    await writer.drain()
            words = await heard(reader)
            writer.close()
            return words

    assert statuses(asyncio.run(scene())) in (["400"], [])


def test_nonsense_behind_a_request_does_not_take_the_place_of_its_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> bytes:
        async with served(BoundedConnection) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(LIVE + b"nonsense\r\n\r\n")
            words = await heard(reader)
            writer.close()
            return words

    assert statuses(asyncio.run(scene())) == ["200", "400"]
    assert not caplog.records


def test_a_body_that_becomes_nonsense_is_refused_and_nobody_waits_for_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> bytes:
        async with served(BoundedConnection) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n")
            words = await heard(reader)
            writer.close()
            return words

    assert statuses(asyncio.run(scene())) == ["400"]
    assert "LocalProtocolError" not in caplog.text


@pytest.mark.parametrize(
    "words",
    [b"", b"GET / HTTP/1.1\r\nhos", LIVE + b"GET", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\nab"],
    ids=["silent", "a head", "a second head", "the rest of a body that nobody reads"],
)
def test_who_lets_the_server_wait_is_hung_up_on(words: bytes) -> None:
    async def scene() -> None:
        async with served(Short) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(words)
            while not server.server_state.connections:
                await asyncio.sleep(0)
            await server.on_tick(10)
            await heard(reader)
            writer.close()

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_who_takes_no_answer_is_hung_up_on() -> None:
    async def scene() -> int:
        async with served(Short) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
            while not any(each.flow.write_paused for each in server.server_state.connections):  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
            await server.on_tick(10)
            words = await heard(reader)
            writer.close()
            return len(words)

    assert asyncio.run(asyncio.wait_for(scene(), 60)) < 30_000_000


def test_beyond_its_number_of_connections_the_longest_silent_goes_and_the_new_one_is_served() -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with served(Short) as (_, port):
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(Short.most)]
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(LIVE)
            answer = await asyncio.wait_for(reader.readuntil(b"yes"), 60)
            gone = await heard(silent[0][0])
            for _, each in (*silent, (reader, writer)):
                each.close()
            return answer, gone

    answer, gone = asyncio.run(scene())
    assert statuses(answer) == ["200"]
    assert gone == b""
