"""A namespace of a real cluster for the time of the tests, with a registry that its pods reach and a gateway.

`make test-cluster` needs `$KUBECONFIG` (or `~/.kube/config`) of somebody who may make namespaces, Gateway API's kinds
in the cluster, and an image of Seatrial that nodes have or fetch: `SEATRIAL_TEST_IMAGE`. Pods must reach this machine,
and it them: `SEATRIAL_TEST_HOST` is its address for pods, if it is not the one that leads to the API server. Nothing
is left behind, and several may test on one cluster at once. Rollouts are carried by an account with the chart's Role
for runs; only what does harm to them is done by whoever the kubeconfig names.

What else may be given, each by two or three variables that begin with `SEATRIAL_TEST_`:

GATEWAY, GATEWAY_URL      NAMESPACE/NAME of the cluster's own Gateway, and its address; else our `gateway`
API_DOWN, API_UP          commands after which the API server is gone and there again; else only our way to it is cut
MANAGER_DOWN, MANAGER_UP  the same for the controller-manager, which is left alone else
NODE, NODE_DOWN, NODE_UP  a second node that takes pods, and commands that end it at once with all that runs on it and
                          bring it back; else no node is ended
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from deployments.cluster import Cluster
from deployments.cluster.resource_kinds import GATEWAY, HTTP_ROUTE
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.spec import GatewaySection, RolloutSection, Strategy
from deployments.wiring import Doors
from tests.cluster.accounts import runner_with
from tests.cluster.fleet import Fleet
from tests.cluster.gateway import CONTROLLER, TrialGateway
from tests.cluster.trials import Trial, doors_to, section_of
from tests.contracts.test_rights import rules

IMAGE = os.environ.get("SEATRIAL_TEST_IMAGE", "localhost/seatrial:1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster/" in str(item.path):
            item.add_marker(pytest.mark.cluster)
            # Pods take half a minute to start where cores are free, and minutes where they are not.
            item.add_marker(pytest.mark.timeout(1200))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("passed", []):
        if report.user_properties:
            told = ", ".join(f"{name} {value}" for name, value in report.user_properties)
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {told}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """In a namespace of its own, where pods must be restricted ones."""
    from kubernetes import client, config

    config.load_kube_config()
    core = client.CoreV1Api()
    name = f"seatrial-test-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace({"metadata": {"name": name, "labels": labels}})
    try:
        yield Cluster.of(name)
    finally:
        core.delete_namespace(name)
        limit = time.monotonic() + 180
        with contextlib.suppress(client.ApiException):
            while time.monotonic() < limit:
                core.read_namespace(name)
                time.sleep(1)


@pytest.fixture(scope="session")
def host(cluster: Cluster) -> str:
    """This machine's address for pods."""
    if given := os.environ.get("SEATRIAL_TEST_HOST"):
        return given
    server = urlsplit(cluster.address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((server.hostname, server.port or 443))
        address: str = probe.getsockname()[0]
    return address


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="session")
def registry_url(host: str, folder: Path) -> Iterator[str]:
    """A real MLflow server that keeps artifacts itself."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "0.0.0.0", "--port", str(port), "--workers", "1"]  # noqa: S104 - pods ask
    stores = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    environment = os.environ | {
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen([*command, *stores], env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://{host}:{port}"
    try:
        wait_until(lambda: httpx.get(f"{url}/health", trust_env=False).status_code == 200, 300)
        yield url
    finally:
        # With its workers, which may outlive it otherwise.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(60)


@pytest.fixture(scope="session")
def settings(folder: Path, registry_url: str) -> Settings:
    return Settings(home=folder / "home", project=folder, tracking_uri=registry_url)


@pytest.fixture(scope="session")
def fleet(settings: Settings, folder: Path) -> Fleet:
    """Model versions in the registry."""
    return Fleet(settings, folder / "fleet", folder / "artifacts")


@dataclass(frozen=True, slots=True)
class Front:
    """Where users ask, and the Gateway that stands there."""

    url: str
    section: GatewaySection


@pytest.fixture(scope="session")
def front(cluster: Cluster, folder: Path) -> Iterator[Front]:
    """The cluster's own Gateway, by SEATRIAL_TEST_GATEWAY (NAMESPACE/NAME) and SEATRIAL_TEST_GATEWAY_URL; or ours."""
    if not cluster.knows(HTTP_ROUTE):
        pytest.skip("this cluster does not know Gateway API")
    if given := os.environ.get("SEATRIAL_TEST_GATEWAY"):
        namespace, _, name = given.partition("/")
        yield Front(os.environ["SEATRIAL_TEST_GATEWAY_URL"], GatewaySection(name=name, namespace=namespace))
        return
    with gateway_class(), TrialGateway(Cluster.of(cluster.namespace), "trial", folder / "gateway", free_port()) as made:
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        spec = {"gatewayClassName": "seatrial-trial", "listeners": [listener]}
        cluster.apply(GATEWAY, {"metadata": {"name": "trial"}, "spec": spec})
        url = f"http://127.0.0.1:{made.port}"
        wait_until(lambda: httpx.get(url, trust_env=False).status_code == 404)
        yield Front(url, GatewaySection(name="trial"))


@pytest.fixture(scope="session")
def section(cluster: Cluster, front: Front) -> RolloutSection:
    return section_of(cluster.namespace, IMAGE, front.section)


@pytest.fixture(scope="session")
def runner(cluster: Cluster, folder: Path) -> Iterator[Cluster]:
    """The cluster for whoever carries rollouts: it may do what the chart's Role says, and no more."""
    with runner_with(rules("runner"), cluster, folder, "runner") as allowed:
        yield allowed


@pytest.fixture(scope="session")
def doors(runner: Cluster, fleet: Fleet, settings: Settings, section: RolloutSection) -> Iterator[Doors]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deployments.wiring.current", lambda: settings)
        yield doors_to(runner, section.kubernetes, settings, fleet.registry)


@pytest.fixture(scope="session")
def products(
    cluster: Cluster, doors: Doors, fleet: Fleet, section: RolloutSection, front: Front
) -> Callable[[str], Trial]:
    """A product whose name begins so, and whose v1 is champion."""
    # The Gateway may be somebody's who runs the same tests in another namespace.
    ours = cluster.namespace.rpartition("-")[2]

    def product(beginning: str) -> Trial:
        name = f"{beginning}-{ours}"
        made = Trial(name, fleet, doors, section, f"{front.url}/{name}/invocations")
        state = made.roll_out(fleet.add(name), Strategy.ROLLING)
        assert state.phase is Phase.DONE, state.reason
        return made

    return product


@pytest.fixture
def trial(request: pytest.FixtureRequest, products: Callable[[str], Trial]) -> Iterator[Trial]:
    """A product of the test's own."""
    made = products(f"p{zlib.crc32(request.node.name.encode())}")
    yield made
    made.end()


@pytest.fixture(scope="session")
def serving(products: Callable[[str], Trial]) -> Trial:
    """A product whose champion serves while one test after the other does harm around it."""
    return products("served")


@contextlib.contextmanager
def gateway_class() -> Iterator[None]:
    from kubernetes import client

    group = ("gateway.networking.k8s.io", "v1", "gatewayclasses")
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "seatrial-trial"},
        "spec": {"controllerName": CONTROLLER},
    }
    api = client.CustomObjectsApi()
    with contextlib.suppress(client.ApiException):
        api.create_cluster_custom_object(*group, body)
    try:
        yield
    finally:
        with contextlib.suppress(client.ApiException):
            api.delete_cluster_custom_object(*group, "seatrial-trial")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_until(condition: Any, seconds: float = 60.0) -> None:
    """Raises AssertionError if it does not come true in time."""
    limit = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return
        assert time.monotonic() < limit, "not in time"
        time.sleep(0.2)
