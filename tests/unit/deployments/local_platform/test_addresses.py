"""Where the parts listen, also when the file that says so was damaged."""

import json
from pathlib import Path

import pytest

from deployments.local_platform.addresses import Addresses, read_addresses, write_addresses
from deployments.settings import Settings

CHOSEN = Addresses("127.0.0.1", 18080, 14200, 15000)


@pytest.fixture
def started(tmp_path: Path) -> Settings:
    """A home whose parts were started on `CHOSEN`."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 18080}}
    bootstrap = {"static_resources": {"listeners": [{"address": address}]}}
    files = {
        "gateway/bootstrap.json": json.dumps(bootstrap),
        "programs/gateway.sh": "exec envoy",
        "programs/prefect-server.sh": "exec prefect server start --host 127.0.0.1 --port 14200\n",
        "programs/mlflow-server.sh": "exec mlflow server --port 15000 --workers 1\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    settings = Settings(home=tmp_path)
    write_addresses(settings, CHOSEN)
    return settings


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"host": "127.0.0.1", "later": 1}', '{"host": 3}', '{"host": "x", "gateway": "8"}']
)
def test_a_damaged_file_is_put_away_and_found_again_in_what_was_started(started: Settings, content: str) -> None:
    (started.home / "platform.json").write_text(content)
    assert read_addresses(started) == CHOSEN
    assert (started.home / "platform.json.damaged").read_text() == content
    assert json.loads((started.home / "platform.json").read_bytes())["gateway"] == 18080


def test_a_removed_file_is_found_again_while_the_parts_are_kept(started: Settings) -> None:
    (started.home / "platform.json").unlink()
    assert read_addresses(started) == CHOSEN
    (started.home / "platform.json").unlink()
    for program in (started.home / "programs").iterdir():
        program.unlink()
    assert read_addresses(started) == Addresses(started.gateway_host)


def test_without_any_start_only_the_host_is_known_and_nothing_is_written(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert read_addresses(settings) == Addresses(settings.gateway_host)
    assert list(tmp_path.iterdir()) == []
