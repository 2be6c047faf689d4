"""What all clients take together is bounded: connections, heads without an end, answers that nobody takes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from deployments.serving.http_protocol import Connection, end_unfinished

LARGE = 1_000_000
REQUEST = b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n"


class Small(Connection):
    """Of three clients; unread answers may have a MiB."""

    most_connections = 3
    most_unread = 1 << 20


@dataclass
class Server:
    """On a Unix socket in this process; its answers to `/slow` wait for `go_on`."""

    place: Path
    state: ServerState = field(default_factory=ServerState)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    clients: list[socket.socket] = field(default_factory=list)

    async def client(self) -> socket.socket:
        """One more, whom the server knows when this returns."""
        known = set(self.state.connections)
        ours = socket.socket(socket.AF_UNIX)
        self.clients.append(ours)
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_connect(ours, str(self.place))
        await until(lambda: bool(set(self.state.connections) - known))
        return ours

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            self.asked.set()
            await self.go_on.wait()
        body = bytes(LARGE) if scope["path"] == "/large" else b"yes"
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def served(place: Path) -> AsyncIterator[Server]:
    server = Server(place / "s")
    config = uvicorn.Config(
        server.answer, interface="asgi3", http=Small, ws="none", lifespan="off", log_config=None, proxy_headers=False
    )
    config.load()
    loop = asyncio.get_running_loop()
    listening = await loop.create_unix_server(lambda: Small(config, server.state, {}), server.place)
    try:
        yield server
    finally:
        listening.close()
        for client in server.clients:
            client.close()
        for each in list(server.state.connections):
            each.transport.abort()  # type: ignore[union-attr]
        await until(lambda: not server.state.connections)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


async def say(client: socket.socket, what: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, what)


async def heard(client: socket.socket, most: int = 1 << 30) -> bytes:
    """What comes to the end of the connection, or until it is `most` bytes."""
    found = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while len(found) < most and (piece := await asyncio.get_running_loop().sock_recv(client, 1 << 16)):
            found += piece
    return bytes(found)


async def is_answered(client: socket.socket, path: bytes = b"/") -> bool:
    """Whether a request gets its whole answer."""
    await say(client, REQUEST % path)
    wanted = LARGE if path == b"/large" else len(b"yes")
    found = await heard(client, 1)
    while found.startswith(b"HTTP/1.1 200") and len(found.partition(b"\r\n\r\n")[2]) < wanted:
        if not (more := await heard(client, 1)):
            return False
        found += more
    return found.startswith(b"HTTP/1.1 200")


def run(place: Path, attempt: Callable[[Server], Awaitable[None]]) -> None:
    async def attempted() -> None:
        async with served(place) as server:
            await attempt(server)

    asyncio.run(attempted())


def test_of_too_many_who_say_nothing_the_first_is_hung_up_on(tmp_path: Path) -> None:
    async def attempt(server: Server) -> None:
        clients = [await server.client() for _ in range(5)]
        for gone in clients[:2]:
            assert await heard(gone) == b""
        assert all([await is_answered(each) for each in clients[2:]])

    run(tmp_path, attempt)


def test_who_asked_once_and_then_nothing_more_holds_no_place_for_ever(tmp_path: Path) -> None:
    async def attempt(server: Server) -> None:
        clients = [await server.client() for _ in range(3)]
        assert all([await is_answered(each) for each in clients])
        clients.append(await server.client())
        assert await heard(clients[0]) == b""
        assert all([await is_answered(each) for each in clients[1:]])

    run(tmp_path, attempt)


def test_nobody_is_hung_up_on_who_waits_for_an_answer(tmp_path: Path) -> None:
    async def attempt(server: Server) -> None:
        clients = [await server.client() for _ in range(3)]
        waiting = asyncio.create_task(is_answered(clients[0], b"/slow"))
        await server.asked.wait()
        clients.append(await server.client())
        assert await heard(clients[1]) == b""
        server.go_on.set()
        assert await waiting

    run(tmp_path, attempt)


def test_of_those_who_take_no_answers_the_first_is_hung_up_on_once_it_is_too_much(tmp_path: Path) -> None:
    async def attempt(server: Server) -> None:
        first, second = await server.client(), await server.client()
        await say(first, REQUEST % b"/large")
        await until(lambda: any(each.unread for each in server.state.connections))  # type: ignore[union-attr]
        assert await is_answered(second, b"/large")
        assert 0 < len(await heard(first)) < LARGE
        assert await is_answered(second)

    run(tmp_path, attempt)


def test_of_heads_without_an_end_the_longest_go_until_the_others_are_little(tmp_path: Path) -> None:
    async def attempt(server: Server) -> None:
        clients = [await server.client() for _ in range(3)]
        heads = [REQUEST[:-2] % b"/" + b"x: " + b"x" * length for length in (1000, 3000, 500)]
        for client, head in zip(clients, heads, strict=True):
            await say(client, head)
        whole = sum(map(len, heads))
        await until(lambda: sum(each.unfinished for each in server.state.connections) == whole)  # type: ignore[union-attr]
        end_unfinished(server.state.connections, most=whole)
        assert len(server.state.connections) == 3
        end_unfinished(server.state.connections, most=2000)
        assert await heard(clients[1]) == b""
        for client in (clients[0], clients[2]):
            await say(client, b"\r\n\r\n")
            assert (await heard(client, 1)).startswith(b"HTTP/1.1 200")

    run(tmp_path, attempt)


@pytest.mark.parametrize(("name", "bound"), [("most_connections", 5_000), ("most_unread", 32 << 20)])
def test_the_bounds_of_a_server_are_those_of_the_documentation(name: str, bound: int) -> None:
    assert getattr(Connection, name) == bound
