"""One gateway a test file, and one of its own for a test that may kill it."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.routers.cluster_worlds import GatewayApiWorld, ServiceWorld
from tests.contracts.routers.gateway import Gateway
from tests.contracts.routers.servers import Servers
from tests.contracts.routers.worlds import EnvoyWorld, InMemoryWorld, World
from tests.fakes.kubernetes import FakeKubernetes

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


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as made:
        yield made


def built(request: pytest.FixtureRequest) -> World:
    """A world by its name."""
    if request.param == "in_memory":
        return InMemoryWorld()
    if request.param == "envoy":
        envoy: EnvoyWorld = request.getfixturevalue("real")
        return envoy
    kind = {"gateway_api": GatewayApiWorld, "service": ServiceWorld}[request.param]
    return kind(request.getfixturevalue("api"), request.getfixturevalue("tmp_path"))


@pytest.fixture(params=["in_memory", "envoy", "gateway_api", "service"])
def world(request: pytest.FixtureRequest) -> World:
    """What every router promises."""
    return built(request)


@pytest.fixture(params=["in_memory", "envoy", "gateway_api"])
def splitting(request: pytest.FixtureRequest) -> World:
    """What a gateway promises besides: shares in hundredths of a percent, matches, previews and mirrors.

    A Service leads to pods, whatever the request, and shares are those of whole pods.
    """
    return built(request)


@pytest.fixture(params=["in_memory", "envoy"])
def keeping(request: pytest.FixtureRequest) -> World:
    """What our own gateway promises besides: sticky keys, 404 for an unknown version, latencies counted by itself.

    Gateway API v1 has no words for the first two, and leaves counting to the pods.
    """
    return built(request)


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
