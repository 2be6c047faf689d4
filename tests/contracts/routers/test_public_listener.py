"""A real gateway's listener for others: TLS, keys of products, a bound on requests; and loopback as before."""

import http.client
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from deployments.routers.envoy.config_files import EnvoyFiles
from deployments.routers.envoy.public_listener import write_certificate, write_keys, write_rates
from deployments.traffic import Backend, Routing, Weights
from tests.advice import followed
from tests.certificates import pair
from tests.contracts.routers.gateway import Gateway, ask, eventually
from tests.contracts.routers.servers import Servers
from tests.contracts.routers.worlds import EnvoyWorld
from tests.ports import free_port

KEY, OTHER = "k" * 43, "o" * 43


class Public(EnvoyWorld):
    """A gateway with products `shop` and `cart`, one key each, as others ask it."""

    def __init__(self, gateway: Gateway, servers: Servers) -> None:
        super().__init__(gateway, servers)
        self.files = EnvoyFiles(gateway.folder.resolve(), gateway.run_folder.resolve())

    def call(
        self, path: str, key: str | None = KEY, body: bytes = b"{}", method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        assert self.gateway.public is not None
        connection = http.client.HTTPSConnection("127.0.0.1", self.gateway.public, timeout=10, context=context)
        shown = {"x-api-key": key} if key is not None else {}
        with closing(connection):
            connection.request(method, path, body, shown | headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def status(self, path: str, key: str | None = KEY, **headers: str) -> int:
        return self.call(path, key, **headers)[0]

    def certificate(self) -> str:
        assert self.gateway.public is not None
        return ssl.get_server_certificate(("127.0.0.1", self.gateway.public))


@pytest.fixture(scope="module")
def public(servers: Servers, folder: Path) -> Iterator[Public]:
    place = folder / "public"
    place.mkdir()
    gateway = Gateway(place)
    gateway.public = free_port()
    made = Public(gateway, servers)
    write_certificate(made.files, *pair())
    write_keys(made.files, {"shop": [KEY], "cart": [OTHER]})
    write_rates(made.files, 10_000, ["shop", "cart"])
    gateway.start()
    for product in ("shop", "cart"):
        made.router.apply(product, Routing((Backend(1, (made.server(1),)),), Weights({1: 100})))
    yield made
    gateway.stop()


def test_a_key_opens_its_product_and_no_other(public: Public) -> None:
    assert public.status("/shop/invocations") == 200
    assert public.status("/v2/models/shop/infer") == 200
    assert public.status("/cart/invocations", OTHER) == 200
    for path in (
        "/cart/invocations",
        "/v2/models/cart/infer",
        "/shop/../cart/invocations",
        "//cart/invocations",
        "/nowhere",
    ):
        assert public.status(path) == 401, path


@pytest.mark.parametrize("key", [None, "", "x", KEY[:-1], f"{KEY}x", f"{KEY},{OTHER}", KEY.upper()])
def test_without_a_key_of_its_own_nobody_reaches_a_product(public: Public, key: str | None) -> None:
    status, headers, body = public.call("/shop/invocations", key)
    assert status == 401
    assert headers["www-authenticate"].startswith("ApiKey")
    assert b"x-api-key" in body
    assert public.status("/shop/invocations", key, **{"x-seatrial-admitted": "1"}) == 401


def test_servers_never_see_a_key(public: Public) -> None:
    public.servers.behaviour.heard.clear()
    assert public.status("/shop/invocations") == 200
    heads = "\n".join(head for _, head in public.servers.behaviour.heard)
    assert heads
    assert KEY not in heads


def test_keys_are_in_no_log_and_what_shows_them_is_its_owners_alone(public: Public) -> None:
    socket_of_admin = httpx.HTTPTransport(uds=str(public.files.admin_socket))
    with httpx.Client(transport=socket_of_admin, base_url="http://envoy") as admin:
        assert "BEGIN PRIVATE" not in admin.get("/config_dump?include_eds").text
        assert KEY not in admin.get("/stats").text + admin.get("/clusters").text
    assert KEY not in public.gateway.log.read_text()
    for file in (public.files.keys, public.files.certificate, public.files.admin_socket):
        assert file.stat().st_mode & 0o077 == 0


def test_what_is_refused_is_counted_for_no_version(public: Public) -> None:
    public.status("/shop/invocations")
    time.sleep(0.6)
    before = public.router.tallies("shop")
    for _ in range(50):
        assert public.status("/shop/invocations", "x") == 401
    time.sleep(1.2)  # counters are merged twice a second
    assert public.router.tallies("shop") == before


def test_a_key_is_rotated_with_an_overlap_and_no_request_fails(public: Public) -> None:
    new, over, failed = "n" * 43, threading.Event(), []

    def load(key: str) -> None:
        while not over.is_set():
            if (status := public.status("/shop/invocations", key)) != 200:
                failed.append(status)

    thread = threading.Thread(target=load, args=(KEY,))
    thread.start()
    write_keys(public.files, {"shop": [KEY, new], "cart": [OTHER]})
    eventually(lambda: public.status("/shop/invocations", new) == 200)
    over.set()
    thread.join()
    assert failed == []
    write_keys(public.files, {"shop": [new], "cart": [OTHER]})
    eventually(lambda: public.status("/shop/invocations", KEY) == 401)
    assert public.status("/shop/invocations", new) == 200
    write_keys(public.files, {"shop": [KEY], "cart": [OTHER]})
    eventually(lambda: public.status("/shop/invocations", KEY) == 200)


def test_a_certificate_is_changed_while_requests_go_on(public: Public) -> None:
    before, over, failed = public.certificate(), threading.Event(), []

    def load() -> None:
        while not over.is_set():
            if (status := public.status("/shop/invocations")) != 200:
                failed.append(status)

    thread = threading.Thread(target=load)
    thread.start()
    chain, key = pair("new")
    write_certificate(public.files, chain, key)
    eventually(lambda: public.certificate() == chain)
    over.set()
    thread.join()
    assert failed == []
    assert before != chain
    write_certificate(public.files, chain, "no key")  # Envoy keeps what it has
    time.sleep(1)
    assert public.status("/shop/invocations") == 200
    assert public.certificate() == chain


def test_old_protocols_are_refused(public: Public) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", public.gateway.public or 0)) as raw, context.wrap_socket(raw) as tls:
        assert tls.version() in {"TLSv1.2", "TLSv1.3"}
        assert tls.selected_alpn_protocol() == "h2"
    plain = http.client.HTTPConnection("127.0.0.1", public.gateway.public or 0, timeout=5)
    with closing(plain), pytest.raises((OSError, http.client.HTTPException)):  # no TLS at all
        plain.request("GET", "/seatrial/health")
        plain.getresponse()


def test_one_product_is_asked_no_more_than_its_rate_and_another_one_goes_on(public: Public) -> None:
    write_rates(public.files, 5, ["shop", "cart"])
    eventually(lambda: 429 in {public.status("/shop/invocations") for _ in range(20)})
    refused = next(answer for answer in (public.call("/shop/invocations") for _ in range(50)) if answer[0] == 429)
    assert "x-ratelimit-limit" in refused[1]
    assert int(refused[1]["retry-after"]) <= 1
    assert (
        followed("this product is asked more than SEATRIAL_PUBLIC_RATE allows: come again in a second")
        in refused[2].decode()
    )
    time.sleep(1)
    assert public.status("/shop/invocations") == 200
    assert public.status("/cart/invocations", OTHER) == 200
    assert ask(public.gateway.port, "shop", 30) == [1] * 30  # loopback has no such bound
    write_rates(public.files, 10_000, ["shop", "cart"])
    eventually(lambda: {public.status("/shop/invocations") for _ in range(20)} == {200})


def test_what_asks_by_itself_needs_no_key_of_a_product(public: Public) -> None:
    assert public.call("/seatrial/health", None, method="GET")[0] == 200
    # The control service is not there: the gateway says so, and not that a key is missing.
    for path in ("/seatrial/feedback", "/seatrial/webhooks/github/shop", "/seatrial/api/v1/products"):
        assert public.status(path, None) == 503, path
        assert public.call(path, None, b"x" * 100_000)[0] == 503, path


@pytest.mark.skipif(shutil.which("curl") is None, reason="asks by HTTP/2, as curl does")
def test_a_client_of_http_2_hears_why_it_is_refused(public: Public) -> None:
    address = f"https://127.0.0.1:{public.gateway.public}/shop/invocations"
    command = ["curl", "-sk", "--http2", "-w", " %{http_code} %{http_version}", "-d", "{}", address]
    for key, code in (("x", b"401"), (KEY, b"200")):
        said = subprocess.run([*command, "-H", f"x-api-key: {key}"], capture_output=True, timeout=20, check=True).stdout
        assert said.endswith(code + b" 2")


def test_on_loopback_nothing_has_changed(public: Public) -> None:
    assert ask(public.gateway.port, "shop", 3) == [1, 1, 1]


def test_a_large_request_needs_a_key_as_well(public: Public) -> None:
    large = b'{"x":"' + b"a" * 100_000 + b'"}'
    assert public.call("/shop/invocations", None, large)[0] == 401
    assert public.call("/shop/invocations", KEY, large)[0] == 200
