"""What clients can take from a real gateway: some memory and some connections, and never all of either."""

import contextlib
import http.client
import resource
import socket
import threading
from collections.abc import Iterator

import psutil
import pytest

from deployments.routers.envoy import overload, upload_concurrency
from tests.contracts.routers.gateway import ask, eventually, get
from tests.contracts.routers.test_gateway_front import headers_of
from tests.contracts.routers.worlds import EnvoyWorld, one, requests, two

MEGABYTE = 1024 * 1024


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * overload.MAX_OF_A_GROUP), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def held() -> Iterator[contextlib.ExitStack]:
    """What a hostile client holds on to."""
    with contextlib.ExitStack() as stack:
        yield stack


def unfinished(world: EnvoyWorld, held: contextlib.ExitStack, sent: int, length: int) -> None:
    """An upload of which the last byte never comes."""
    client = held.enter_context(socket.create_connection(("127.0.0.1", world.gateway.port)))
    client.settimeout(1)
    with contextlib.suppress(OSError):  # refused, or not read any more
        client.sendall(b"POST /x/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length)
        client.sendall(bytes(sent))


def memory(world: EnvoyWorld) -> int:
    assert world.gateway.process is not None
    taken: int = psutil.Process(world.gateway.process.pid).memory_info().rss
    return taken


def test_uploads_that_never_end_take_little_and_nobody_else_notices(
    own: EnvoyWorld, held: contextlib.ExitStack, product: str
) -> None:
    own.router.apply(product, one(1, own.server(1)))
    before = memory(own)
    hostile = [
        threading.Thread(target=unfinished, args=(own, held, 8_000_000, upload_concurrency.MAX_BODY_BYTES))
        for _ in range(150)
    ]
    for each in hostile:
        each.start()
    for each in hostile:
        each.join()
    assert ask(own.gateway.port, product, 20) == [1] * 20
    assert get(own.gateway.port, "/seatrial/health")[0] == 200
    assert own.router.read(product) is not None
    # 32 bodies and what is on its way to them: without a bound it was more than a gigabyte.
    assert memory(own) - before < 400 * MEGABYTE


def test_a_client_that_holds_all_it_can_get_leaves_connections_for_others(
    own: EnvoyWorld, held: contextlib.ExitStack, product: str, many_files: None
) -> None:
    own.router.apply(product, one(1, own.server(1)))
    address = ("127.0.0.1", own.gateway.port)
    for _ in range(overload.MAX_OF_A_GROUP + 50):
        held.enter_context(socket.create_connection(address))

    def answered(source: str) -> bool:
        connection = http.client.HTTPConnection(*address, timeout=10, source_address=(source, 0))
        try:
            connection.request("GET", "/seatrial/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    eventually(lambda: not answered("127.0.0.1"))
    others = [answered(f"127.0.0.{last}") for last in range(2, 34)]
    assert sum(others) > len(others) / 2  # those whose address has another hash
    held.close()
    eventually(lambda: answered("127.0.0.1"))


@pytest.mark.parametrize("size", [upload_concurrency.SMALL_BYTES, upload_concurrency.SMALL_BYTES + 1, 7_000_000])
def test_a_large_request_is_answered_and_counted_once(real: EnvoyWorld, product: str, size: int) -> None:
    real.router.apply(product, two(real.server(1), real.server(2), 0))
    headers = {"x-mine": product, "x-seatrial-key": "ann"}
    assert get(real.gateway.port, f"/{product}/invocations", b"x" * size, headers) == (200, b"1")
    eventually(lambda: requests(real.router, product) == {1: 1})
    [(_, heard)] = headers_of(real, product)
    assert heard["content-length"] == str(size)
    assert heard["host"] == f"127.0.0.1:{real.gateway.port}"
    assert len(heard["x-request-id"]) == 36


def test_a_body_in_chunks_is_answered_up_to_the_limit(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(1, real.server(1)))

    def chunked(count: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", real.gateway.port, timeout=10)
        try:
            connection.request("POST", f"/{product}/invocations", (b"x" * 100_000 for _ in range(count)))
            return connection.getresponse().status
        except BrokenPipeError:  # it was refused before all was sent
            return connection.getresponse().status
        finally:
            connection.close()

    assert chunked(10) == 200
    assert chunked(100) == 413


def test_nobody_comes_past_the_limit_by_saying_that_he_has_been_there(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(1, real.server(1)))
    forged = {upload_concurrency.UPLOAD_HEADER: "1", "x-mine": product}
    assert get(real.gateway.port, f"/{product}/invocations", b"{}", forged)[0] == 200
    [(_, heard)] = headers_of(real, product)
    assert upload_concurrency.UPLOAD_HEADER not in heard


@pytest.mark.parametrize("host", [b"host: shop\r\n", b""])
def test_clients_that_speak_http_1_0_are_answered_in_it(real: EnvoyWorld, product: str, host: bytes) -> None:
    real.router.apply(product, one(1, real.server(1)))
    with socket.create_connection(("127.0.0.1", real.gateway.port), timeout=10) as client:
        client.sendall(b"POST /%s/invocations HTTP/1.0\r\n%scontent-length: 2\r\n\r\n{}" % (product.encode(), host))
        answer = b""
        while part := client.recv(1000):  # until the gateway hangs up, as HTTP/1.0 has it
            answer += part
    assert answer.startswith(b"HTTP/1.0 200") or answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n1")
    assert b"chunked" not in answer


def test_no_method_holds_large_bodies_where_the_small_ones_are(
    own: EnvoyWorld, held: contextlib.ExitStack, product: str
) -> None:
    """Its length is not said, and the last piece never comes."""
    own.router.apply(product, one(1, own.server(1)))
    before = memory(own)

    def upload(method: bytes) -> None:
        client = held.enter_context(socket.create_connection(("127.0.0.1", own.gateway.port)))
        client.settimeout(1)
        with contextlib.suppress(OSError):  # refused, or not read any more
            client.sendall(b"%s /x/invocations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % method)
            client.sendall(b"10000\r\n%s\r\n" % bytes(0x10000) * 100)

    hostile = [threading.Thread(target=upload, args=(method,)) for method in [b"GET", b"HEAD", b"OPTIONS"] * 35]
    for each in hostile:
        each.start()
    for each in hostile:
        each.join()
    assert ask(own.gateway.port, product, 20) == [1] * 20
    assert memory(own) - before < 400 * MEGABYTE


def test_who_never_ends_his_uploads_keeps_none_out_who_come_by_another_way(
    own: EnvoyWorld, held: contextlib.ExitStack, product: str
) -> None:
    own.router.apply(product, one(1, own.server(1)))
    for _ in range(2 * (upload_concurrency.WAITING + upload_concurrency.AT_ONCE)):
        unfinished(own, held, 100, 1_000_000)

    def status(source: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", own.gateway.port, timeout=10, source_address=(source, 0))
        try:
            connection.request("POST", f"/{product}/invocations", b"x" * 1_000_000)
            return connection.getresponse().status
        except (BrokenPipeError, ConnectionResetError):  # it was refused before all was sent
            return 503
        except TimeoutError:  # it waits for its turn
            return 0
        finally:
            connection.close()

    eventually(lambda: status("127.0.0.1") == 503)
    assert sum(status(f"127.0.0.{last}") == 200 for last in range(2, 34)) > 16
