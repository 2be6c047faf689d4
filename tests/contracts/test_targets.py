"""One suite for every target: what holds for servers in memory holds for real processes."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.cluster import Cluster
from deployments.errors import TargetUnreachable
from deployments.inference_log_reader import answers_between
from deployments.settings import Settings
from deployments.spec import KubernetesSection, LogSection, ServerSection
from deployments.supervision import Supervisor, UnixConnection
from deployments.supervision.orphan_processes import daemons_of, leftovers_of
from deployments.targets.in_memory import Behaviour, InMemoryTarget
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.process import ProcessTarget
from deployments.targets.protocol import Launch, Replica, ReplicaState, Target
from tests.fakes.kubernetes import READY, FakeKubernetes, Fate, PodScript, Proxied, Request
from tests.fakes.kubernetes import Target as PodTarget
from tests.model_folder import verification_of, write_model_folder

DRAIN = timedelta(seconds=5)


@dataclass
class Place:
    """A target, and how its world is made to misbehave."""

    target: Target
    folder: Path
    spoil: Callable[[str, int], None]
    mend: Callable[[str, int], None]
    cut_off: Callable[[], None]

    def model(self, product: str, version: int) -> Path:
        folder = self.folder / product / f"v{version}"
        if not folder.exists():
            write_model_folder(folder, product=product, seed=version)
        return folder

    def launch(self, version: int, replicas: int = 1, product: str = "flights") -> None:
        self.target.launch(self.asked(product, version, replicas))

    def asked(self, product: str, version: int, replicas: int) -> Launch:
        return Launch(product, version, self.model(product, version), replicas)

    def settled(self, version: int, product: str = "flights") -> tuple[Replica, ...]:
        """The replicas once none of them is starting any more."""
        limit = time.monotonic() + 60
        while True:
            replicas = self.target.replicas(product, version)
            if all(replica.state is not ReplicaState.STARTING for replica in replicas):
                return replicas
            assert time.monotonic() < limit, replicas
            time.sleep(0.05)


def in_memory_place(folder: Path) -> Iterator[Place]:
    target = InMemoryTarget()
    yield Place(
        target,
        folder,
        spoil=lambda product, version: target.script(product, version, Behaviour.FAILING),
        mend=lambda product, version: target.script(product, version, Behaviour.READY),
        cut_off=lambda: target.script_reachable(False),
    )


def process_place(folder: Path) -> Iterator[Place]:
    settings = Settings(home=folder / "home", project=folder)
    supervisor = Supervisor.of(settings)
    supervisor.start()

    def manifest(product: str, version: int) -> Path:
        return folder / product / f"v{version}" / "manifest.json"

    def spoil(product: str, version: int) -> None:
        path = manifest(product, version)
        path.with_name("kept").write_bytes(path.read_bytes())

    yield Place(
        ProcessTarget(supervisor, settings),
        folder,
        spoil=spoil,
        mend=lambda product, version: manifest(product, version).with_name("kept").unlink(),
        cut_off=lambda: supervisor.shutdown(within=timedelta(seconds=5)),
    )
    supervisor.shutdown(within=timedelta(seconds=5))
    run = settings.run_folder
    assert not daemons_of(run)
    assert not leftovers_of(run)
    assert not list(run.glob("*.sock"))


def kubernetes_place(folder: Path) -> Iterator[Place]:
    with FakeKubernetes() as api:
        api.answer_pods(lambda request, target: _pod_answer(api, folder, request, target))
        cluster = Cluster.of(kubeconfig=api.kubeconfig(folder / "kubeconfig"))
        section = KubernetesSection(image="seatrial:1")

        def spoil(product: str, version: int) -> None:
            refusal = '{"event": "refused to serve", "error": "model.skops has SHA-256 0, not 1"}'
            api.script(f"model-{product}-v{version}", PodScript(Fate.CRASHING, exit_code=2, log=refusal))

        with contextlib.ExitStack() as away:
            yield Place(
                KubernetesTarget(cluster, section, "http://mlflow", SystemClock()),
                folder,
                spoil=spoil,
                mend=lambda product, version: api.script(f"model-{product}-v{version}", READY),
                cut_off=lambda: away.enter_context(api.away()),
            )


def _pod_answer(api: FakeKubernetes, folder: Path, request: Request, target: PodTarget) -> Proxied | None:
    """As the model server in a pod answers to its verification rows; nobody is there in a pod that is gone."""
    found = re.fullmatch(r"model-(.+)-v(\d+)-\w+-\w+:8081", target.name)
    assert found, target.name
    if _condition(api.object("Pod", target.name.partition(":")[0])) != "True":
        return None
    if target.rest != "invocations":
        return Proxied(404, b'{"error": "no such path"}')
    wanted, predictions = verification_of(folder / found[1] / f"v{found[2]}")
    right = json.loads(request.body) == json.loads(wanted)
    return Proxied(200, json.dumps({"predictions": predictions}).encode()) if right else Proxied(422, b"{}")


def _condition(pod: Any) -> str:
    conditions = {each["type"]: each["status"] for each in (pod or {}).get("status", {}).get("conditions", [])}
    return conditions.get("Ready", "Unknown")


@pytest.fixture(
    params=[
        pytest.param(in_memory_place, id="in_memory"),
        pytest.param(kubernetes_place, id="kubernetes"),
        pytest.param(process_place, id="process", marks=pytest.mark.platform),
    ]
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="seatrial-")).resolve()
    yield from request.param(folder)
    shutil.rmtree(folder)


def test_launched_servers_become_ready_and_answer_as_the_model_does(place: Place) -> None:
    place.launch(1, replicas=2)
    replicas = place.settled(1)
    assert [replica.state for replica in replicas] == [ReplicaState.READY] * 2
    assert len({replica.name for replica in replicas} | {replica.address for replica in replicas}) == 4
    request, predictions = verification_of(place.model("flights", 1))
    for replica in replicas:
        answer = place.target.ask(replica, "/invocations", request)
        assert (answer.status, json.loads(answer.body)["predictions"]) == (200, predictions)
    assert place.target.ask(replicas[0], "/nowhere", b"{}").status == 404


def test_versions_and_products_live_side_by_side(place: Place) -> None:
    place.launch(10)
    place.launch(9)
    place.launch(2, product="flights-v9")
    assert place.target.versions("flights") == (9, 10)
    assert place.target.versions("flights-v9") == (2,)
    assert place.target.versions("flight") == ()
    assert place.target.replicas("flights", 2) == ()
    place.target.retire("flights", 9, DRAIN)
    assert place.target.versions("flights") == (10,)
    assert len(place.target.replicas("flights-v9", 2)) == 1


def test_launching_again_changes_nothing_but_the_number(place: Place) -> None:
    def known() -> list[tuple[str, str]]:
        return [(replica.name, replica.address) for replica in place.target.replicas("flights", 1)]

    place.launch(1, replicas=3)
    three = known()
    assert len(three) == 3
    place.launch(1, replicas=3)
    assert known() == three
    place.launch(1, replicas=1)
    [kept] = known()
    assert kept in three
    place.launch(1, replicas=2)
    assert len(known()) == 2
    assert kept in known()


def test_a_model_that_cannot_be_served_fails_with_a_reason_and_can_be_launched_afresh(place: Place) -> None:
    place.model("flights", 1)
    place.spoil("flights", 1)
    place.launch(1)
    [replica] = place.settled(1)
    assert replica.state is ReplicaState.FAILED
    assert replica.detail
    with pytest.raises(TargetUnreachable, match=replica.name):
        place.target.ask(replica, "/invocations", b"{}")
    place.mend("flights", 1)
    place.launch(1)
    assert [replica.state for replica in place.settled(1)] == [ReplicaState.READY]


def test_a_retired_version_is_gone_and_may_be_retired_again(place: Place) -> None:
    place.launch(1)
    [replica] = place.settled(1)
    place.target.retire("flights", 1, DRAIN)
    assert place.target.replicas("flights", 1) == ()
    assert place.target.versions("flights") == ()
    with pytest.raises(TargetUnreachable, match=replica.name):
        place.target.ask(replica, "/invocations", b"{}")
    place.target.retire("flights", 1, DRAIN)
    place.target.retire("never-seen", 7, DRAIN)


def test_without_its_keeper_every_method_says_so(place: Place) -> None:
    place.cut_off()
    for call in (
        lambda: place.launch(1),
        lambda: place.target.replicas("flights", 1),
        lambda: place.target.versions("flights"),
        lambda: place.target.retire("flights", 1, DRAIN),
    ):
        with pytest.raises(TargetUnreachable):
            call()


@pytest.fixture
def processes() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="seatrial-")).resolve()
    yield from process_place(folder)
    shutil.rmtree(folder)


@pytest.mark.platform
def test_processes_are_seen_alike_by_another_process_and_after_a_crash(processes: Place) -> None:
    processes.launch(1)
    settings = Settings(home=processes.folder / "home", project=processes.folder)
    another = ProcessTarget(Supervisor.of(settings), settings)
    seen = processes.settled(1)
    assert another.replicas("flights", 1) == seen
    [daemon] = daemons_of(settings.run_folder)
    daemon.kill()
    Supervisor.of(settings).start()
    assert another.versions("flights") == (1,)
    assert [replica.state for replica in processes.settled(1)] == [ReplicaState.READY]


@pytest.mark.platform
def test_no_request_is_lost_while_supervisord_is_killed_and_its_server_replaced(processes: Place) -> None:
    processes.launch(1)
    [replica] = processes.settled(1)
    settings = Settings(home=processes.folder / "home", project=processes.folder)
    request, _ = verification_of(processes.model("flights", 1))
    with asking_all_the_time(Path(replica.address), request) as codes:
        [daemon] = daemons_of(settings.run_folder)
        daemon.kill()
        Supervisor.of(settings).start()
    assert len(codes) > 20
    assert set(codes) == {200}


@pytest.mark.platform
def test_a_long_product_name_still_fits_a_socket(processes: Place) -> None:
    processes.launch(1, product="a" * 40)
    [replica] = processes.target.replicas("a" * 40, 1)
    assert len(replica.address.encode()) < 104


@pytest.mark.platform
def test_a_running_server_is_left_alone_and_a_killed_one_comes_back(processes: Place) -> None:
    supervisor = Supervisor.of(Settings(home=processes.folder / "home", project=processes.folder))
    processes.launch(1)
    [replica] = processes.settled(1)
    pid = supervisor.reports()[replica.name].pid
    processes.launch(1)
    assert supervisor.reports()[replica.name].pid == pid is not None
    os.kill(pid, signal.SIGKILL)
    while supervisor.reports()[replica.name].pid in {None, pid}:
        time.sleep(0.05)
    assert [again.state for again in processes.settled(1)] == [ReplicaState.READY]


@pytest.mark.platform
def test_a_ready_server_keeps_what_it_was_started_with_for_a_restart_would_cost_requests(processes: Place) -> None:
    supervisor = Supervisor.of(Settings(home=processes.folder / "home", project=processes.folder))
    processes.launch(1)
    [replica] = processes.settled(1)
    pid = supervisor.reports()[replica.name].pid
    off = ServerSection(log=LogSection(enabled=False))
    processes.target.launch(Launch("flights", 1, processes.model("flights", 1), 2, server=off))
    assert supervisor.reports()[replica.name].pid == pid
    first, second = (each.address for each in processes.settled(1))
    assert (_logs_answers(first), _logs_answers(second)) == (True, False)


def _logs_answers(address: str) -> bool:
    with contextlib.closing(UnixConnection(Path(address), timeout=10)) as connection:
        connection.request("GET", "/metrics")
        return b"seatrial_server_log_rows_total" in connection.getresponse().read()


@pytest.mark.platform
def test_sample_rows_are_logged_as_nobodys_and_all_is_written_when_a_server_is_retired(processes: Place) -> None:
    processes.launch(1)
    [replica] = processes.settled(1)
    request, _ = verification_of(processes.model("flights", 1))
    assert processes.target.ask(replica, "/invocations", request).status == 200
    processes.target.retire("flights", 1, DRAIN)
    log = str(processes.folder / "home" / "inference-log")
    now = datetime.now(UTC)
    table = answers_between(log, "flights", 1, now - timedelta(minutes=10), now + timedelta(minutes=1))
    assert table.column("mirrored").to_pylist() == [True] * 4
    assert set(table.column("request_id").to_pylist()) != {None}


@pytest.mark.platform
def test_a_failed_server_says_which_file_was_changed(processes: Place) -> None:
    folder = processes.model("flights", 1)
    (folder / "model" / "model.skops").write_bytes(b"changed")
    processes.launch(1)
    [replica] = processes.settled(1)
    assert "model.skops has SHA-256" in replica.detail


@contextlib.contextmanager
def asking_all_the_time(socket: Path, request: bytes) -> Iterator[list[int]]:
    """Codes of the requests that two callers send, one after the other over kept connections; 0 for a lost one."""
    codes: list[int] = []
    done = threading.Event()

    def call() -> None:
        with contextlib.closing(UnixConnection(socket, timeout=30)) as connection:
            while not done.is_set():
                codes.append(asked(connection, request))

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        yield codes
    finally:
        done.set()
        for caller in callers:
            caller.join()


def asked(connection: UnixConnection, request: bytes) -> int:
    try:
        connection.request("POST", "/invocations", request)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return response.status
