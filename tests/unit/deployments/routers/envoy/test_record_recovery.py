"""Damaged files of the gateway: each product is rebuilt by itself, and nobody else is touched."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.routers.envoy import Witness
from deployments.routers.envoy.bootstrap import _write_products
from deployments.routers.envoy.config_files import EnvoyFiles, read_document
from deployments.routers.envoy.config_updates import listed_clusters, written_addresses, written_servers, written_table
from deployments.routers.envoy.live_routes import live_routing
from deployments.routers.envoy.routing_records import Records
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights

FLIGHTS = Routing(
    (Backend(1, ("/f1",)), Backend(2, ("/f2", "10.0.0.1:80")), Backend(3, ("/f3",))),
    Weights({1: 90, 2: 10}),
    (Match(2, "yes", header="x-beta"),),
    Mirror(3, 12.5),
    StickyKey(cookie="uid"),
)
TRAINS = Routing((Backend(7, ("/t7",)),), Weights.all_to(7), key=StickyKey(header="x-seatrial-key"))
BOTH = {"flights": FLIGHTS, "trains": TRAINS}


@pytest.fixture
def files(tmp_path: Path) -> EnvoyFiles:
    """Two products that are routed."""
    made = EnvoyFiles(tmp_path / "gateway", tmp_path)
    for product, routing in BOTH.items():
        Records(made.folder).keep(product, routing)
    _write_products(made, Witness())
    return made


def record(files: EnvoyFiles, product: str = "flights") -> Path:
    return files.folder / "products" / f"{product}.json"


def remade(files: EnvoyFiles, known: dict[str, Routing] | None = None) -> list[str]:
    """What was told when the gateway was prepared anew."""
    told: list[str] = []
    _write_products(files, Witness(lambda: known or {}, lambda product, what: told.append(f"{product}: {what}")))
    return told


def routed(files: EnvoyFiles) -> dict[str, Routing | None]:
    """What the files lead to, by product."""
    table, servers = written_table(files), written_servers(files)
    assert table is not None
    assert set(servers) <= listed_clusters(files)
    return {
        product: live_routing(
            table,
            product,
            tuple(Backend(each.version, servers[f"{product}_v{each.version}"]) for each in routing.backends),
        )
        for product, routing in BOTH.items()
    }


def emptied(path: Path) -> None:
    path.write_text("")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbled(path: Path) -> None:
    path.write_bytes(b"\x00\xff\xfe garbage")


def of_another_version(path: Path) -> None:
    path.write_text(json.dumps({"format": 7, "resources": [{"later": True}], "backends": [], "weights": None}))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def removed(path: Path) -> None:
    path.unlink()


DAMAGE = [emptied, halved, garbled, of_another_version, a_folder, removed]
damaged = pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)


@damaged
@pytest.mark.parametrize("product", BOTH)
def test_a_damaged_record_is_rebuilt_from_the_table_of_routes(
    files: EnvoyFiles, damage: Callable[[Path], None], product: str
) -> None:
    damage(record(files, product))
    (told,) = remade(files)
    assert told.startswith(f"{product}: ")
    assert Records(files.folder).all() == BOTH == routed(files)
    kept = [path.name for path in (files.folder / "products").iterdir() if not path.name.endswith(".json")]
    assert kept == ([] if damage is removed else [f"{product}.json.damaged"])
    assert remade(files) == []


@damaged
@pytest.mark.parametrize(
    "name", ["rds.json", "cds.json", "eds/flights_v2.json", "eds/trains_v7.json", "intention.json"]
)
def test_every_other_file_is_rebuilt_from_the_records(
    files: EnvoyFiles, damage: Callable[[Path], None], name: str
) -> None:
    (files.folder / "intention.json").write_text("{}")
    damage(files.folder / name)
    assert remade(files) == []
    assert Records(files.folder).all() == BOTH == routed(files)


@pytest.mark.parametrize("name", ["rds.json", "eds/flights_v2.json"])
def test_what_neither_record_nor_routes_say_is_asked_elsewhere(files: EnvoyFiles, name: str) -> None:
    garbled(record(files))
    garbled(files.folder / name)
    (told,) = remade(files, {"flights": FLIGHTS, "ships": TRAINS} if name != "rds.json" else {"flights": FLIGHTS})
    assert "rebuilt from the journal and the servers that run" in told
    assert Records(files.folder).all() == BOTH == routed(files)


def test_a_gateway_that_lost_everything_is_rebuilt_from_elsewhere(files: EnvoyFiles) -> None:
    shutil.rmtree(files.folder)
    assert len(remade(files, BOTH)) == 2
    assert Records(files.folder).all() == BOTH == routed(files)


def test_a_first_start_tells_of_nothing(tmp_path: Path) -> None:
    assert remade(EnvoyFiles(tmp_path / "gateway", tmp_path)) == []


def test_of_whom_nobody_knows_it_is_told_and_others_go_on(files: EnvoyFiles) -> None:
    garbled(record(files))
    garbled(files.routes)
    (told,) = remade(files)
    assert "flights: " in told
    assert "nothing is known of its routes" in told
    assert Records(files.folder).all() == {"trains": TRAINS}
    assert routed(files) == {"flights": None, "trains": TRAINS}


@pytest.mark.parametrize("name", ["flights (copy).json", "v2.json", "Flights.json"])
def test_a_file_with_no_product_s_name_is_put_away(files: EnvoyFiles, name: str) -> None:
    shutil.copy(record(files), files.folder / "products" / name)
    assert len(remade(files)) == 1
    assert Records(files.folder).all() == BOTH == routed(files)


def test_an_old_record_does_not_move_users_of_its_product(files: EnvoyFiles) -> None:
    Records(files.folder).keep("flights", Routing((Backend(1, ("/f1",)),), Weights.all_to(1)))
    assert "its record said something else" in remade(files)[0]
    assert routed(files)["flights"] == FLIGHTS


def test_a_route_that_somebody_removed_comes_back_by_its_record(files: EnvoyFiles) -> None:
    document = read_document(files.routes)
    assert document is not None
    host = document["resources"][0]["virtual_hosts"][0]
    host["routes"] = [route for route in host["routes"] if not route["name"].startswith("flights")]
    files.routes.write_text(json.dumps(document))
    remade(files)
    assert routed(files) == BOTH


@pytest.mark.parametrize("content", ["{}", "[]", '{"resources": 3}', '{"resources": [3]}', '{"resources": [{}]}', ""])
def test_strange_files_are_no_files(files: EnvoyFiles, content: str) -> None:
    for path in (files.clusters, files.routes, files.endpoints("flights_v1")):
        path.write_text(content)
    assert listed_clusters(files) == frozenset()
    assert written_table(files) is None
    assert not written_addresses(files, "flights_v1")
