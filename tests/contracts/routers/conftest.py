"""One gateway a test file, and one of its own for a test that may kill it."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.routers.gateway import Gateway
from tests.contracts.routers.servers import Servers
from tests.contracts.routers.worlds import EnvoyWorld, InMemoryWorld, World

_names = itertools.count(1)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # A socket's path must be short.
    made = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Servers]:
    made = Servers(folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_gateway(folder: Path) -> Iterator[Gateway]:
    gateway = Gateway(folder)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def real(shared_gateway: Gateway, servers: Servers) -> Iterator[EnvoyWorld]:
    made = EnvoyWorld(shared_gateway, servers)
    yield made
    for record in (shared_gateway.folder / "products").glob("*.json"):
        made.router.remove(record.stem)


@pytest.fixture(params=["in_memory", "envoy"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "in_memory":
        return InMemoryWorld()
    envoy: EnvoyWorld = request.getfixturevalue("real")
    return envoy


@pytest.fixture
def own(servers: Servers, folder: Path) -> Iterator[EnvoyWorld]:
    """A gateway that the test may kill."""
    place = folder / f"own{next(_names)}"
    place.mkdir()
    gateway = Gateway(place)
    gateway.start()
    yield EnvoyWorld(gateway, servers)
    gateway.stop()


@pytest.fixture
def product() -> str:
    return f"product-{next(_names)}"
