"""One suite for every metrics door: what is counted is counted once, and what is not known is never taken for zero."""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deployments.analysis.evidence import Counts, Pairs, Sums
from deployments.clock import ManualClock
from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT
from deployments.errors import MetricsUnreachable
from deployments.metrics.composite import cluster_metrics, live_metrics
from deployments.metrics.feedback.store import Feedback, FeedbackLedger
from deployments.metrics.in_memory import InMemoryMetrics
from deployments.metrics.pods import PodCounters
from deployments.metrics.protocol import Metrics
from deployments.routers.in_memory import InMemoryRouter
from deployments.traffic import Backend, Routing, Weights
from tests.fakes.kubernetes import FakeKubernetes
from tests.model_fleet import Fleet, RunningServer
from tests.model_pods import Pod, Pods

CLASSES = ("no", "yes", "maybe")


@dataclass
class Place:
    """A door for product `shop` with versions 1 and 2, and how its world is moved."""

    metrics: Metrics
    clock: ManualClock
    serve: Callable[[int, str], None]
    fail: Callable[[int], None]
    push: Callable[[int, str, float], None]
    compare: Callable[[str, str, str | None], None]
    restart: Callable[[], None]
    cut_off: Callable[[bool], None]

    def between(self, act: Callable[[], None]) -> dict[int, Counts]:
        """What two readings say users were answered while `act` ran."""
        before = self.metrics.read("shop").without_copies()
        act()
        fresh = self.metrics.read("shop").without_copies().carrying(before).since(before)
        return {version: said(counts) for version, counts in fresh.items() if said(counts) != Counts()}


def said(counts: Counts) -> Counts:
    """Without the latency of no answers: whoever measures it says of each bucket that it is empty."""
    return counts if any(counts.latency) else replace(counts, latency=())


def in_memory_place() -> Iterator[Place]:
    clock = ManualClock()
    metrics = InMemoryMetrics(clock)

    def compare(stable: str, candidate: str, label: str | None) -> None:
        disagreed = stable != candidate
        stable_right, candidate_right = (disagreed and each == label for each in (stable, candidate))
        metrics.compare("shop", Pairs(1, int(disagreed), int(stable_right), int(candidate_right)))

    yield Place(
        metrics,
        clock,
        serve=lambda version, label: metrics.serve("shop", version, requests=1, latency_ms=3.0, predictions={label: 1}),
        fail=lambda version: metrics.serve("shop", version, requests=1, errors=1, latency_ms=3.0),
        push=lambda version, metric, value: metrics.push("shop", version, metric, [value]),
        compare=compare,
        restart=metrics.restart,
        cut_off=lambda away: metrics.fail("scripted") if away else metrics.recover(),
    )


@dataclass
class World:
    """Real model servers and a real ledger behind a router in memory."""

    folder: Path
    router: InMemoryRouter = field(default_factory=InMemoryRouter)
    clock: ManualClock = field(default_factory=ManualClock)
    servers: dict[int, RunningServer] = field(default_factory=dict)
    numbers: Iterable[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.folder)
        self.ledger = FeedbackLedger(f"sqlite:///{self.folder / 'journal.db'}")
        self.start()

    def start(self) -> None:
        self.servers = {version: self.fleet.start(version, labels=True) for version in (1, 2)}
        self._away = False

    def restart(self) -> None:
        self.fleet.stop_all()
        self.router.restart()
        self.start()

    def addresses(self, product: str) -> dict[int, tuple[str, ...]]:
        if self._away:
            raise MetricsUnreachable("supervisord is away")
        return self.fleet.servers(product)

    def cut_off(self, away: bool) -> None:
        self._away = away

    def route(self, version: int, code: int, row: int) -> None:
        backends = tuple(Backend(each, (server.address,)) for each, server in self.servers.items())
        self.router.apply("shop", Routing(backends, Weights.all_to(version)))
        try:
            with self.router.request("shop", latency_ms=3.0) as reached:
                assert self.servers[reached].ask(row) == code
                if code == 500:
                    raise RuntimeError
        except RuntimeError:
            return

    def push(self, version: int, metric: str, value: float | str, request_id: str = "") -> None:
        self.ledger.store([Feedback("shop", version, request_id or f"id-{next(iter(self.numbers))}", metric, value)])

    def compare(self, stable: str, candidate: str, label: str | None) -> None:
        request_id = f"pair-{next(iter(self.numbers))}"
        self.servers[1].ask(CLASSES.index(stable), request_id=request_id, header="paired")
        self.servers[2].ask(CLASSES.index(candidate), request_id=request_id, header="mirrored")
        if label:
            self.push(1, "label", label, request_id)


def live_place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
    world = World(folder)
    yield Place(
        live_metrics((world.router.tallies, world.router.copies), world.addresses, world.ledger, world.clock),
        world.clock,
        serve=lambda version, label: world.route(version, 200, CLASSES.index(label)),
        fail=lambda version: world.route(version, 500, 99),
        push=world.push,
        compare=world.compare,
        restart=world.restart,
        cut_off=world.cut_off,
    )
    world.fleet.stop_all()
    world.ledger.close()
    shutil.rmtree(folder)


@dataclass
class ClusterWorld:
    """Pods of a fake cluster with real model servers in them, and a real ledger."""

    api: FakeKubernetes
    ledger: FeedbackLedger
    pods: dict[int, Pod] = field(default_factory=dict)
    numbers: Iterable[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.namespace = Pods(self.api)
        self.start()

    def start(self) -> None:
        self.pods = {version: self.namespace.start(version) for version in (1, 2)}

    def ask(self, version: int, code: int, row: int) -> None:
        assert self.pods[version].ask(row) == code

    def push(self, version: int, metric: str, value: float | str, request_id: str = "") -> None:
        self.ledger.store([Feedback("shop", version, request_id or f"id-{next(iter(self.numbers))}", metric, value)])

    def compare(self, stable: str, candidate: str, label: str | None) -> None:
        request_id = f"pair-{next(iter(self.numbers))}"
        self.pods[1].ask(CLASSES.index(stable), request_id=request_id, port=PAIRED_PORT)
        self.pods[2].ask(CLASSES.index(candidate), request_id=request_id, port=COPIES_PORT)
        if label:
            self.push(1, "label", label, request_id)

    def cut_off(self, away: bool) -> None:
        if away:
            self.api.go_away()
        else:
            self.api.come_back()


def cluster_place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
    ledger = FeedbackLedger(f"sqlite:///{folder / 'journal.db'}")
    with FakeKubernetes(controllers=False) as api:
        world = ClusterWorld(api, ledger)
        pods = PodCounters(world.namespace.cluster())
        yield Place(
            cluster_metrics(pods.counts, pods, ledger, world.namespace.clock),
            world.namespace.clock,
            serve=lambda version, label: world.ask(version, 200, CLASSES.index(label)),
            fail=lambda version: world.ask(version, 500, 99),
            push=world.push,
            compare=world.compare,
            restart=world.start,
            cut_off=world.cut_off,
        )
    ledger.close()
    shutil.rmtree(folder)


@pytest.fixture(params=[in_memory_place, live_place, cluster_place], ids=["in_memory", "live", "cluster"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    yield from request.param()


def bucket(count: int) -> tuple[int, ...]:
    """The latency of `count` answers that took 3 ms."""
    return (0, 0, count) + (0,) * 16


def test_what_happened_between_two_readings_is_counted_by_version(place: Place) -> None:
    def act() -> None:
        for label in ("yes", "yes", "no"):
            place.serve(1, label)
        place.serve(2, "maybe")
        place.fail(2)

    place.serve(1, "yes")
    place.fail(2)
    assert place.between(act) == {
        1: Counts(3, 0, bucket(3), {"yes": 2, "no": 1}),
        2: Counts(2, 1, bucket(2), {"maybe": 1}),
    }


def test_nothing_happened_between_two_readings_without_traffic(place: Place) -> None:
    place.serve(1, "yes")
    assert place.between(lambda: None) == {}


def test_a_product_that_nobody_knows_has_counted_nothing(place: Place) -> None:
    place.serve(1, "yes")
    reading = place.metrics.read("unknown")
    assert (reading.sources, reading.pairs) == ({}, Pairs())


def test_a_reading_carries_the_time_of_the_clock(place: Place) -> None:
    assert place.metrics.read("shop").at == place.clock.now()


def test_feedback_is_summed_up(place: Place) -> None:
    def act() -> None:
        place.push(1, "clicks", 1.0)
        place.push(1, "clicks", 3.0)
        place.push(2, "revenue", -2.0)

    place.push(1, "clicks", 7.0)
    assert place.between(act) == {
        1: Counts(feedback={"clicks": Sums(2, 4.0, 10.0)}),
        2: Counts(feedback={"revenue": Sums(1, -2.0, 4.0)}),
    }


def test_feedback_outside_its_range_counts_as_the_nearer_end(place: Place) -> None:
    before = place.metrics.read("shop", {"clicks": (0.0, 2.0)})
    for value in (1.0, 1e12, -5.0):
        place.push(1, "clicks", value)
    place.push(1, "revenue", 40.0)
    fresh = place.metrics.read("shop", {"clicks": (0.0, 2.0)}).since(before)
    assert said(fresh[1]) == Counts(feedback={"clicks": Sums(3, 3.0, 5.0), "revenue": Sums(1, 40.0, 1600.0)})


@pytest.mark.parametrize(
    ("stable", "candidate", "label", "pairs"),
    [
        ("yes", "yes", None, Pairs(1)),
        ("yes", "no", None, Pairs(1, 1)),
        ("yes", "no", "yes", Pairs(1, 1, only_stable_right=1)),
        ("yes", "no", "no", Pairs(1, 1, only_candidate_right=1)),
        ("yes", "no", "maybe", Pairs(1, 1)),
        ("yes", "yes", "yes", Pairs(1)),
    ],
)
def test_pairs_are_compared_and_settled_by_labels(
    place: Place, stable: str, candidate: str, label: str | None, pairs: Pairs
) -> None:
    before = place.metrics.read("shop")
    place.compare(stable, candidate, label)
    after = place.metrics.read("shop")
    assert after.pairs_since(before) == pairs
    assert place.metrics.read("shop").pairs_since(after) == Pairs()


def test_what_is_mirrored_counts_for_nobody(place: Place) -> None:
    def act() -> None:
        place.compare("yes", "no", None)

    assert 2 not in place.between(act)


def test_after_a_restart_everything_since_then_is_counted_and_nothing_before(place: Place) -> None:
    def act() -> None:
        place.restart()
        place.serve(1, "no")

    for _ in range(5):
        place.serve(1, "yes")
    assert place.between(act) == {1: Counts(1, 0, bucket(1), {"no": 1})}


def test_an_outage_is_told_and_what_happened_meanwhile_is_not_lost(place: Place) -> None:
    def act() -> None:
        place.cut_off(True)
        with pytest.raises(MetricsUnreachable):
            place.metrics.read("shop")
        place.serve(1, "yes")
        place.cut_off(False)

    assert place.between(act) == {1: Counts(1, 0, bucket(1), {"yes": 1})}
