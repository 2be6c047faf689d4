"""What stands in for a model server in a pod: it starts in a moment, answers its version, and counts.

A program of its own, which needs nothing but Python; `SEATRIAL_BUCKETS` is how many latency buckets are told.
"""

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any

USERS, COPIES, PAIRED = 8080, 8081, 8082
_BUCKETS = int(os.environ.get("SEATRIAL_BUCKETS", "1"))


class StandIn:
    """One server; who it is, whether it fails and whether it answers are told to it below /stand-in/."""

    def __init__(self) -> None:
        self.gate, self.starts = asyncio.Event(), 0
        self.become({"version": 0})

    def become(self, told: dict[str, Any]) -> None:
        """A server of another version that has just started."""
        self.version, self.failing, self.waiting = int(told["version"]), False, 0
        self.starts += 1
        self.began = datetime.now(UTC).isoformat()
        self.counts = {"users": [0, 0], "copies": [0, 0]}
        self.gate.set()

    async def answer(self, port: int, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Code and body."""
        if path == "/seatrial/counts":
            return 200, json.dumps(self._told()).encode()
        if path.startswith("/v2/"):
            return 200, b"{}"
        if path.startswith("/stand-in/"):
            return 200, json.dumps(await self._obeyed(path.rpartition("/")[2], json.loads(body))).encode()
        if path == "/held":
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
        counts = self.counts["copies" if port == COPIES or "x-seatrial-version" in headers else "users"]
        counts[0] += 1
        counts[1] += self.failing
        return (500, b"") if self.failing else (200, str(self.version).encode())

    async def _obeyed(self, what: str, told: dict[str, Any]) -> Any:
        match what:
            case "become":
                self.become(told)
            case "fail":
                self.failing = told["on"]
            case "hold":
                self.gate.clear()
            case "release":
                self.gate.set()
            case "ask":
                return [await _asked(told["host"], told["path"], headers) for headers in told["headers"]]
        return None

    def _told(self) -> dict[str, Any]:
        told = {
            name: {"requests": requests, "errors": errors, "latency": [requests, *[0] * (_BUCKETS - 1)]}
            for name, (requests, errors) in self.counts.items()
        }
        own = {"epoch": f"{os.uname().nodename}-{self.starts}", "began": self.began, "predictions": {}}
        return {**own, **told, "in_flight": self.waiting}


async def _asked(host: str, path: str, headers: dict[str, str]) -> int:
    """The version that answers on a connection of its own; a failure is its negative code, -1 for no answer."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, USERS), 10)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"POST {path} HTTP/1.1\r\nhost: {host}\r\n{more}content-length: 2\r\n\r\n{{}}".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        code = int(head.split()[1])
        answer = await reader.readexactly(int(_headers(head)["content-length"]))
        writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return -1
    return int(answer) if code == 200 else -code


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
    return {name.strip().lower(): value.strip() for name, _, value in lines}


async def _serve(server: StandIn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            headers = _headers(head)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            code, answer = await server.answer(port, head.split()[1].decode().partition("?")[0], headers, body)
            writer.write(b"HTTP/1.1 %d Answered\r\ncontent-length: %d\r\n\r\n%s" % (code, len(answer), answer))
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Listens at the three ports of a model server."""
    server = StandIn()
    for port in (USERS, COPIES, PAIRED):
        await asyncio.start_server(lambda reader, writer, port=port: _serve(server, reader, writer, port), None, port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
