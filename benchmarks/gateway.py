"""What the gateway adds to a request, beside nginx and HAProxy; and whether anybody goes back while a canary rises.

    python -m benchmarks.gateway

One client on kept connections asks the same two servers (Unix sockets) directly and through each proxy, in turn, in one
run; a proxy that is not on PATH is "not installed". What Envoy spends on a request is told with a sticky key, of which
it writes a line while a split stands, and without one. Then 100,000 requests of 2,000 users go through Envoy while the
weight of v2 rises from 0 to 100 %. Everything listens on loopback and in a folder below /tmp, for about two minutes.
"""

import contextlib
import getpass
import http.client
import os
import random
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.processes import free_port, process, wait_for
from deployments.clock import SystemClock
from deployments.routers.envoy import EnvoyRouter, prepare
from deployments.traffic import Backend, Routing, Weights

ROUNDS, REQUESTS_A_ROUND, WARM_UP = 20, 250, 200
KEYED_ROUNDS, KEYED_REQUESTS = 5, 2_000
USERS, REQUESTS, CONNECTIONS = 2_000, 100_000, 4
RAMP = (0, 0.5, 5, 10, 25, 50, 75, 90, 99.5, 100)
BODY = b'{"inputs": [{"name": "row", "shape": [1, 8], "datatype": "FP64", "data": [1, 2, 3, 4, 5, 6, 7, 8]}]}'
ROOT = Path(__file__).parents[1]

Ask = Callable[[str], int]
console = Console()


def main() -> None:
    """Measure both and print them."""
    with tempfile.TemporaryDirectory(prefix="stb-", dir="/tmp") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        sockets = [str(folder / f"{version}.sock") for version in (1, 2)]
        for version, path in enumerate(sockets, 1):
            running.enter_context(process([sys.executable, "-m", "benchmarks.one_answer", path, str(version)]))
        router, port = running.enter_context(_envoy(folder))
        router.apply("flights", _routing(sockets, 10))
        ways = {"the server itself": _asking(lambda: _unix(sockets[0])), "Envoy": _asking(lambda: _tcp(port))}
        for proxy in (_nginx, _haproxy):
            found = running.enter_context(proxy(folder, sockets))
            if found:
                ways[proxy.__name__.strip("_")] = _asking(partial(_tcp, found))
        _print_cost(_latencies(ways), [name for name in ("nginx", "haproxy") if name not in ways])
        _print_keyed(*_keyed(_asking(lambda: _tcp(port))))
        _print_ramp(*_ramp(router, sockets, [_asking(lambda: _tcp(port)) for _ in range(CONNECTIONS)]))


def _latencies(ways: dict[str, Ask]) -> dict[str, list[float]]:
    """Milliseconds of each request, by way; the order of the ways is drawn anew each round."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(7)
    for ask in ways.values():
        for number in range(WARM_UP):
            ask(f"warm-{number}")
    for _ in range(ROUNDS):
        for name in order.sample(sorted(ways), len(ways)):
            for number in range(REQUESTS_A_ROUND):
                began = time.perf_counter()
                version = ways[name](f"user-{number}")
                found[name].append((time.perf_counter() - began) * 1000)
                if version not in (1, 2):
                    raise SystemExit(f"{name} answered {-version}: nothing was measured")
    return found


def _keyed(ask: Ask) -> tuple[list[float], list[float]]:
    """Envoy's CPU in microseconds a request with a key and without one, by round; the two take turns."""
    (envoy,) = (each for each in psutil.Process().children() if each.name() == "envoy")
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * KEYED_ROUNDS):
        before = sum(envoy.cpu_times()[:2])
        for user in range(KEYED_REQUESTS):
            ask(f"user-{user}" if number % 2 == 0 else "")
        found[number % 2].append((sum(envoy.cpu_times()[:2]) - before) / KEYED_REQUESTS * 1e6)
    return found


def _ramp(router: EnvoyRouter, sockets: list[str], asks: list[Ask]) -> tuple[int, int, int]:
    """Users that went to v2, those that ever went back, and requests that failed."""
    router.apply("flights", _routing(sockets, RAMP[0]))
    version_of: dict[int, int] = {}
    back, failed = 0, 0
    shift = threading.Thread()
    for number in range(REQUESTS):
        if number % (REQUESTS // len(RAMP)) == 0 and number:
            # Weights change while requests go on.
            weight = RAMP[number * len(RAMP) // REQUESTS]
            shift = threading.Thread(target=router.apply, args=("flights", _routing(sockets, weight)))
            shift.start()
        user = number % USERS
        version = asks[number // 7 % CONNECTIONS](f"user-{user}")
        failed += version not in (1, 2)
        back += version_of.get(user) == 2 and version == 1
        version_of[user] = version
    shift.join()
    return list(version_of.values()).count(2), back, failed


def _routing(sockets: list[str], percent: float) -> Routing:
    backends = tuple(Backend(version, (path,)) for version, path in enumerate(sockets, 1))
    return Routing(backends, Weights({1: round(100 - percent, 2), 2: percent}))


def _asking(connect: Callable[[], socket.socket]) -> Ask:
    """Asks over one kept connection, with an empty key without any; the answer is the version, or minus the code."""
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.sock = connect()

    def ask(key: str) -> int:
        headers = {"content-type": "application/json"} | ({"x-seatrial-key": key} if key else {})
        connection.request("POST", "/flights/invocations", BODY, headers)
        response = connection.getresponse()
        body = response.read()
        return int(body) if response.status == 200 else -response.status

    return ask


def _tcp(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(path)
    return made


@contextlib.contextmanager
def _envoy(folder: Path) -> Iterator[tuple[EnvoyRouter, int]]:
    port = free_port()
    with process(list(prepare(folder / "gateway", folder, "127.0.0.1", port))):
        wait_for(port)
        yield EnvoyRouter(folder / "gateway", folder, SystemClock()), port


@contextlib.contextmanager
def _nginx(folder: Path, sockets: list[str]) -> Iterator[int | None]:
    """The port of an nginx that splits by the same header; None: not installed."""
    port, file = free_port(), folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    upstreams = "".join(
        f"upstream v{number} {{ server unix:{path}; keepalive 16; }}" for number, path in enumerate(sockets, 1)
    )
    file.write_text(
        f"user {getpass.getuser()}; daemon off; worker_processes 2; pid {folder}/nginx.pid;\n"
        f"error_log {folder}/nginx.log; events {{}}\n"
        f"http {{ access_log off; keepalive_requests 1000000; {temporary} {upstreams}\n"
        'split_clients "flights:$http_x_seatrial_key" $chosen { 10% v2; * v1; }\n'
        f"server {{ listen 127.0.0.1:{port}; location /flights/ {{ proxy_pass http://$chosen;\n"
        'proxy_http_version 1.1; proxy_set_header Connection ""; } } }'
    )
    with _if_installed("nginx", ["-p", str(folder), "-c", str(file), "-e", f"{folder}/nginx.log"], port) as found:
        yield found


@contextlib.contextmanager
def _haproxy(folder: Path, sockets: list[str]) -> Iterator[int | None]:
    """The port of an HAProxy that splits by the same header; None: not installed."""
    port, file = free_port(), folder / "haproxy.cfg"
    servers = "".join(
        f" server v{number} unix@{path} weight {weight}\n"
        for number, (path, weight) in enumerate(zip(sockets, (90, 10), strict=True), 1)
    )
    file.write_text(
        "global\n nbthread 2\ndefaults\n mode http\n timeout client 60s\n timeout server 60s\n timeout connect 1s\n"
        f"frontend all\n bind 127.0.0.1:{port}\n default_backend flights\n"
        f"backend flights\n balance hdr(x-seatrial-key)\n hash-type consistent\n http-reuse always\n{servers}"
    )
    with _if_installed("haproxy", ["-db", "-f", str(file)], port) as found:
        yield found


@contextlib.contextmanager
def _if_installed(program: str, arguments: list[str], port: int) -> Iterator[int | None]:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        yield None
        return
    with process([path, *arguments]):
        wait_for(port)
        yield port


def _print_cost(latencies: dict[str, list[float]], missing: list[str]) -> None:
    cuts = {name: statistics.quantiles(times, n=100) for name, times in latencies.items()}
    direct = cuts["the server itself"]
    table = Table(title=f"One request, {ROUNDS} rounds of {REQUESTS_A_ROUND} each way, interleaved")
    for heading in ("way", "p50 ms", "p99 ms", "p50 added", "p99 added", "p50 ratio"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, cut in cuts.items():
        added = (f"{cut[49] - direct[49]:+.2f}", f"{cut[98] - direct[98]:+.2f}", f"{cut[49] / direct[49]:.2f}")
        table.add_row(name, f"{cut[49]:.2f}", f"{cut[98]:.2f}", *added)
    for name in missing:
        table.add_row(name, "not installed")
    console.print(table)


def _print_keyed(with_key: list[float], without: list[float]) -> None:
    ratio = statistics.median(one / other for one, other in zip(with_key, without, strict=True))
    told = (f"{statistics.median(each):.0f} µs" for each in (with_key, without))
    console.print(
        f"Envoy's CPU a request, medians of {KEYED_ROUNDS} rounds: {' with a key, '.join(told)} without, ", end=""
    )
    console.print(f"ratio {ratio:.2f}")


def _print_ramp(moved: int, back: int, failed: int) -> None:
    weights = " → ".join(f"{weight:g}" for weight in RAMP)
    console.print(f"{REQUESTS:,} requests of {USERS:,} users while v2 rises {weights} %:")
    console.print(f"users at v2 in the end {moved:,} · flips back {back} · requests failed {failed}")
    if back or failed or moved != USERS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
