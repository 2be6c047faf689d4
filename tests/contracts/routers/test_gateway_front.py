"""What a real gateway lets in and passes on, and what it shows of edits by hand."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from deployments.errors import RouterRefused
from deployments.routers.envoy.config_files import Json, read_document, write_document
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights
from tests.contracts.routers.gateway import (
    constant_load,
    contents,
    eventually,
    get,
)
from tests.contracts.routers.servers import Connection
from tests.contracts.routers.worlds import EnvoyWorld, one, requests, two
from tests.ports import free_port


def test_weights_edited_by_hand_are_read_as_they_are_live(real: EnvoyWorld, product: str) -> None:
    routing = two(real.server(1), real.server(2), 10)
    real.router.apply(product, routing)
    edit = real.gateway.folder / "rds.json"
    text = edit.read_text()
    write_document(
        edit, json.loads(text.replace('"weight": 9000', '"weight": 1').replace('"weight": 1000', '"weight": 2'))
    )
    eventually(lambda: real.router.read(product) == replace(routing, weights=Weights({1: 33.33, 2: 66.67})))
    real.router.apply(product, routing)
    assert real.router.read(product) == routing


def test_an_edit_in_place_is_not_live_and_is_repaired(real: EnvoyWorld, product: str) -> None:
    routing = one(1, real.server(1))
    real.router.apply(product, routing)
    (real.gateway.folder / "rds.json").write_text("{}")
    assert real.router.read(product) == routing
    real.router.apply(product, routing)
    assert product in (real.gateway.folder / "rds.json").read_text()
    assert set(real.ask(product, 5)) == {1}


def test_a_refusal_carries_the_reason_of_the_gateway(real: EnvoyWorld, product: str) -> None:
    with pytest.raises(RouterRefused, match="malformed IP address: localhost"):
        real.router.apply(product, one(1, "localhost:8000"))


def test_servers_may_listen_on_ports(real: EnvoyWorld, product: str) -> None:
    port = free_port()
    made = real.servers.loop.create_server(lambda: Connection(4, real.servers.behaviour), "127.0.0.1", port)
    listening = asyncio.run_coroutine_threadsafe(made, real.servers.loop).result(10)
    real.router.apply(product, one(4, f"127.0.0.1:{port}"))
    assert real.router.read(product) == one(4, f"127.0.0.1:{port}")
    assert set(real.ask(product, 5)) == {4}
    real.router.remove(product)
    real.servers.loop.call_soon_threadsafe(listening.close)


def test_every_way_to_a_product_leads_to_it_and_no_other_does(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(1, real.server(1)))
    ways = (
        f"/{product}/invocations",
        f"/v2/models/{product}",
        f"/v2/models/{product}/infer",
        f"/v2/models/{product}?x=1",
    )
    assert [get(real.gateway.port, way)[0] for way in ways] == [200] * len(ways)
    strays = (f"/{product}", f"/{product}x/invocations", f"/v2/models/{product}x", f"/v2/{product}/", f"/x/{product}/")
    for stray in strays:
        status, body = get(real.gateway.port, stray)
        assert status == 404
        assert "no product at this path; use /<product>/invocations" in json.loads(body)["error"]


def test_the_gateway_says_that_it_is_up_without_any_product(own: EnvoyWorld) -> None:
    assert get(own.gateway.port, "/seatrial/health") == (200, b'{"status": "up"}')
    assert get(own.gateway.port, "/nothing")[0] == 404


def test_a_body_over_the_limit_is_refused_before_a_server_sees_it(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(1, real.server(1)))
    assert get(real.gateway.port, f"/{product}/invocations", b"x" * 7_000_000)[0] == 200
    status, body = get(real.gateway.port, f"/{product}/invocations", b"x" * 9_000_000)
    assert (status, "error" in json.loads(body)) == (413, True)


def test_a_product_whose_only_server_died_answers_503_at_once(real: EnvoyWorld, product: str) -> None:
    address = real.server(1)
    real.router.apply(product, one(1, address))
    real.servers.stop(address)
    eventually(lambda: get(real.gateway.port, f"/{product}/invocations")[0] == 503)
    ((_, counts),) = real.router.tallies(product).items()
    assert counts.requests == counts.errors >= 1


def test_the_admin_socket_is_private_and_takes_no_orders(real: EnvoyWorld) -> None:
    path = real.gateway.run_folder / "envoy.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /quitquitquit HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 403 " in client.recv(100)


def headers_of(world: EnvoyWorld, mark: str) -> list[tuple[int, dict[str, str]]]:
    """Versions and headers of the requests that a server heard and whose head holds `mark`."""
    return [
        (version, dict(line.partition(": ")[::2] for line in head.split("\r\n")[1:]))
        for version, head in world.servers.behaviour.heard
        if mark in head
    ]


def shadowed(world: EnvoyWorld, candidate: int) -> Routing:
    backends = (Backend(1, (world.server(1),)), Backend(candidate, (world.server(candidate),)))
    return Routing(backends, Weights.all_to(1), mirror=Mirror(candidate, 100))


def test_a_copy_is_marked_and_paired_with_its_request_by_id(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, shadowed(real, 61))
    forged = {"x-mine": product, "x-seatrial-mirrored": "1", "x-seatrial-paired": "0"}
    assert get(real.gateway.port, f"/{product}/invocations", b"[1]", forged) == (200, b"1")
    eventually(lambda: len(headers_of(real, product)) == 2)
    heard = dict(headers_of(real, product))
    assert heard[1]["x-seatrial-paired"] == "1"
    assert "x-seatrial-mirrored" not in heard[1]
    assert heard[61]["x-seatrial-mirrored"] == "1"
    assert "x-seatrial-paired" not in heard[61]
    assert heard[1]["x-request-id"] == heard[61]["x-request-id"]
    assert heard[1]["host"] == heard[61]["host"]


def test_nobody_can_pretend_to_be_a_copy_or_paired(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, two(real.server(1), real.server(2), 0))
    forged = {"x-mine": product, "x-seatrial-mirrored": "1", "X-Seatrial-Paired": "1"}
    for extra in ({}, {"x-seatrial-version": "2"}):
        assert get(real.gateway.port, f"/{product}/invocations", b"{}", forged | extra)[0] == 200
    heard = headers_of(real, product)
    assert [version for version, _ in heard] == [1, 2]
    assert not any(name.lower() in ("x-seatrial-mirrored", "x-seatrial-paired") for _, head in heard for name in head)


def test_a_slow_shadow_gets_no_more_than_its_cap_and_users_do_not_wait(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, shadowed(real, 62))
    with real.delay(62, 1500):
        started = time.monotonic()
        assert set(real.ask(product, 200)) == {1}
        # All copies one after the other would take five minutes.
        assert time.monotonic() - started < 5
        assert 1 <= real.copies(62) <= 32
        # As many again may wait.
        assert real.router.in_flight(product, 62) <= 64
    eventually(lambda: real.router.in_flight(product, 62) == 0)
    assert requests(real.router, product) == {1: 200}


def test_a_shadow_that_stops_half_way_is_paid_for_by_no_user(real: EnvoyWorld, product: str) -> None:
    routing = shadowed(real, 63)
    real.router.apply(product, routing)
    with constant_load(real.gateway.port, product) as answers:
        eventually(lambda: len(answers) > 200)
        real.stop(routing.backends[1].addresses[0])
        seen = len(answers)
        eventually(lambda: len(answers) > seen + 400)
    assert set(answers) == {1}


def test_every_version_answers_at_its_own_path(real: EnvoyWorld, product: str) -> None:
    backends = (Backend(1, (real.server(1),)), Backend(12, (real.server(12),)))
    real.router.apply(product, Routing(backends, Weights.all_to(1)))
    versions = f"/v2/models/{product}/versions"
    for version in (1, 12):
        for rest in ("", "/ready", "/infer", "/infer?x=1"):
            assert get(real.gateway.port, f"{versions}/{version}{rest}") == (200, str(version).encode())
    # The server hears the path of the Open Inference Protocol as it stands, which is its own.
    assert f"{versions}/12/ready HTTP" in "".join(head for _, head in real.servers.behaviour.heard)
    for stray in ("/2/infer", "/123", "/x", "/"):
        status, body = get(real.gateway.port, versions + stray)
        assert status == 404
        assert f"no such version of {product}" in json.loads(body)["error"]
    assert real.router.tallies(product) == {}


def test_the_cookie_of_a_user_is_found_wherever_it_stands(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, replace(two(real.server(1), real.server(2), 50), key=StickyKey(cookie="uid")))
    for user in range(20):
        forms = (f"uid={user}", f"a=1; uid={user}", f"uid={user}; a={user}", f"xuid=9; uid={user};b=2")
        answers = [get(real.gateway.port, f"/{product}/x", b"", {"cookie": form})[1] for form in forms]
        assert len(set(answers)) == 1


def test_feedback_goes_to_the_control_service_and_is_503_without_it(own: EnvoyWorld) -> None:
    port = own.gateway.port
    status, body = get(port, "/seatrial/feedback", b"{}")
    assert (status, "error" in json.loads(body)) == (503, True)
    own.servers.start(99, str(own.gateway.run_folder / "control.sock"))
    eventually(lambda: get(port, "/seatrial/feedback", b"{}") == (200, b"99"))
    # Whoever asks otherwise below /seatrial/ hears from the control service, too, which knows its routes.
    assert get(port, "/seatrial/feedback") == (200, b"99")
    assert get(port, "/seatrial/feedback/x", b"{}") == (200, b"99")
    assert get(port, "/seatrialx", b"{}")[0] == 404


def edit(world: EnvoyWorld, change: Callable[[Json], None], product: str) -> None:
    """Change the product's split in the watched file, as somebody does by hand."""
    path = world.gateway.folder / "rds.json"
    table = read_document(path)
    assert table is not None
    for route in table["resources"][0]["virtual_hosts"][0]["routes"]:
        if route["name"] in (product, f"{product}.key"):
            change(route)
    write_document(path, table)


def test_a_mirror_and_a_match_edited_by_hand_are_read_as_they_are_live(real: EnvoyWorld, product: str) -> None:
    routing = replace(shadowed(real, 64), matches=(Match(1, "yes", header="x-beta"),))
    real.router.apply(product, routing)

    def halve(route: Json) -> None:
        policy = route["route"]["request_mirror_policies"][0]
        policy["runtime_fraction"]["default_value"] = {"numerator": 50, "denominator": "HUNDRED"}

    edit(real, halve, product)
    eventually(lambda: real.router.read(product) == replace(routing, mirror=Mirror(64, 50)))
    edit(real, lambda route: route["match"]["headers"][0]["string_match"].update(exact="no"), f"{product}.match")
    changed = replace(routing, mirror=Mirror(64, 50), matches=(Match(1, "no", header="x-beta"),))
    eventually(lambda: real.router.read(product) == changed)
    real.router.apply(product, routing)
    assert real.router.read(product) == routing


def test_a_split_that_was_made_to_keep_nobody_is_missed_and_repaired(real: EnvoyWorld, product: str) -> None:
    routing = two(real.server(1), real.server(2), 50)
    real.router.apply(product, routing)
    edit(real, lambda route: route["route"].pop("hash_policy", None), product)
    eventually(lambda: real.router.read(product) is None)
    real.router.apply(product, routing)
    assert real.router.read(product) == routing


def test_what_the_gateway_cannot_take_leaves_the_former_routing_live(real: EnvoyWorld, product: str) -> None:
    former = shadowed(real, 65)
    real.router.apply(product, former)
    before = contents(real.gateway.folder)
    unknown = Backend(66, ("localhost:8000",))
    for wanted in (
        replace(former, backends=(*former.backends, unknown), matches=(Match(66, "yes", header="x-beta"),)),
        replace(former, backends=(*former.backends, unknown), weights=Weights({1: 99.5, 66: 0.5})),
        replace(former, backends=(*former.backends, unknown), mirror=Mirror(66, 1)),
    ):
        with pytest.raises(RouterRefused, match="malformed IP address: localhost"):
            real.router.apply(product, wanted)
    assert real.router.read(product) == former
    assert contents(real.gateway.folder) == before
    assert set(real.ask(product, 10)) == {1}
