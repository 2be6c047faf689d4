"""The first files, and Envoy's own opinion of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.errors import BadInput, RouterRefused
from deployments.routers.envoy import prepare
from deployments.routers.envoy.config_files import EnvoyFiles
from deployments.routers.envoy.config_validation import validate
from deployments.routers.envoy.listener import bootstrap
from deployments.routers.envoy.routing_records import Records
from deployments.traffic import Backend, Routing, Weights

ROUTING = Routing((Backend(1, ("/a",)),), Weights.all_to(1))


@pytest.fixture
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


def test_the_command_starts_from_the_files_and_refuses_unknown_fields(tmp_path: Path, run_folder: Path) -> None:
    command = prepare(tmp_path / "gateway", run_folder, "127.0.0.1", 18080)
    assert Path(command[0]).is_file()
    assert Path(command[command.index("-c") + 1]) == tmp_path / "gateway" / "bootstrap.json"
    assert {"--disable-hot-restart", "--reject-unknown-dynamic-fields"} < set(command)
    # Beside these there is only room that is set aside for a full disk.
    assert {path.name for path in (tmp_path / "gateway").glob("[!.]*")} == {
        "bootstrap.json",
        "cds.json",
        "rds.json",
        "lock",
        "users.jsonl",
    }


def test_preparing_again_keeps_the_routes_and_takes_the_new_port(tmp_path: Path, run_folder: Path) -> None:
    prepare(tmp_path, run_folder, "127.0.0.1", 18080)
    records = Records(tmp_path)
    records.intend("flights", ROUTING, "x")
    records.settle("x")
    prepare(tmp_path, run_folder, "127.0.0.1", 18081)
    assert "flights_v1" in (tmp_path / "rds.json").read_text()
    assert "flights_v1" in (tmp_path / "cds.json").read_text()
    assert "/a" in (tmp_path / "eds" / "flights_v1.json").read_text()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert b"18081" in before[tmp_path / "bootstrap.json"]
    prepare(tmp_path, run_folder, "127.0.0.1", 18081)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_folder_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="too many for a socket"):
        prepare(tmp_path, tmp_path / ("long" * 30), "127.0.0.1", 18080)


def test_a_host_that_is_no_address_is_refused_with_the_reason(tmp_path: Path, run_folder: Path) -> None:
    with pytest.raises(RouterRefused, match="malformed IP address: nowhere"):
        prepare(tmp_path, run_folder, "nowhere", 18080)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda document: document.update(nonsense=1), "nonsense"),
        (
            lambda document: document.update(stats_flush_interval="-1s"),
            "stats_flush_interval|StatsFlushInterval|duration",
        ),
    ],
)
def test_what_envoy_does_not_know_is_refused_by_name(
    tmp_path: Path, damage: Callable[[dict[str, object]], None], reason: str
) -> None:
    document = bootstrap(EnvoyFiles(tmp_path, tmp_path), "127.0.0.1", 18080)
    damage(document)
    with pytest.raises(RouterRefused, match=reason):
        validate(json.loads(json.dumps(document)), tmp_path / "candidate.json")
    assert not (tmp_path / "candidate.json").exists()
