"""A server that does nothing but answer with its version, so that only the way to it is measured.

python -m benchmarks.one_answer SOCKET VERSION
"""

import asyncio
import sys


class OneAnswer(asyncio.Protocol):
    """Enough of HTTP/1.1 for kept connections without pipelining."""

    def __init__(self, version: str) -> None:
        self._answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(version)}\r\n\r\n{version}".encode()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers once a head and its body are complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        if end and len(body) >= int(length):
            self._received = b""
            self._transport.write(self._answer)


async def serve(path: str, version: str) -> None:
    """Answers until the process is ended."""
    server = await asyncio.get_running_loop().create_unix_server(lambda: OneAnswer(version), path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
