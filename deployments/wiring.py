"""Which implementation stands behind each door: the one place that knows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.clock import Clock, SystemClock
from deployments.errors import BadInput
from deployments.inference_log_reader import Log
from deployments.journals.protocol import Journal, Lease
from deployments.journals.registration_notes import registration_of
from deployments.metrics.protocol import Metrics
from deployments.platform_identity import this_place
from deployments.registry.protocol import Champions
from deployments.routers.fenced import FencedRouter
from deployments.routers.protocol import Router
from deployments.settings import Settings, current
from deployments.spec import KubernetesSection, LogSection, RolloutSection, TargetKind
from deployments.targets.fenced import FencedTarget
from deployments.targets.protocol import Target

if TYPE_CHECKING:
    from deployments.cluster import Cluster
    from deployments.journals.lease_renewal import Renewals
    from deployments.registry import ModelRegistry
    from deployments.routers.envoy import EnvoyRouter
    from deployments.supervision import Supervisor


Keep = Callable[[Lease, timedelta, timedelta], object]


def _nobody_keeps(_lease: Lease, _ttl: timedelta, _patience: timedelta) -> None:
    return None


def _nobody_had(_product: str) -> Lease | None:
    return None


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything a rollout touches.

    `models` is the folder that model files are fetched into; `repair` starts again what the platform lost, and makes
    room on a full disk. `place` says where servers run that no other machine reaches, empty for those of a cluster.
    `keep` renews a lease while its holder works: for how long at a time, and until the holder has said nothing for how
    long. `expect_rights` says that whoever carried a rollout before was allowed all that it needs. `category_jumps` are
    sentences on columns of a product in whose pods unknown categories jumped.
    """

    router: Router
    target: Target
    journal: Journal
    registry: Champions
    metrics: Metrics
    clock: Clock
    models: Path
    repair: Callable[[], object]
    place: str = ""
    keep: Keep = _nobody_keeps
    last_lease: Callable[[str], Lease | None] = _nobody_had
    expect_rights: Callable[[], None] = lambda: None
    category_jumps: Callable[[str], Sequence[str]] = lambda _product: ()

    def as_last_held(self, product: str) -> "Doors":
        """The doors under the last lease on `product` that this process had; these ones where it had none.

        For whoever must act though the journal cannot say who has the lease now.
        """
        lease = self.last_lease(product)
        return self if lease is None else self.under(lease)

    def under(self, lease: Lease) -> "Doors":
        """The same doors; what is written through them is refused once somebody else had the lease and wrote."""
        return replace(
            self, router=FencedRouter.of(self.router, lease.token), target=FencedTarget.of(self.target, lease.token)
        )


def doors(section: RolloutSection) -> Doors:
    """The doors to where a rollout section says that its servers run, by this process's settings; opened once.

    The embedded gateway is started if it is needed and not up.
    """
    if section.target is TargetKind.KUBERNETES:
        return _cluster_doors(section.kubernetes.model_dump_json())
    return _embedded_doors()


def read_only_doors(product: str) -> Doors:
    """The doors to where a product was last rolled out, for looking only.

    Nothing is started, and what is down raises its `…Unreachable` when it is asked.
    """
    return read_only_doors_of(newest_section(product))


def read_only_doors_of(section: RolloutSection | None) -> Doors:
    """`read_only_doors`, of a product of which the newest rollout is known; None: it never had one."""
    if section is not None and section.target is TargetKind.KUBERNETES:
        return doors(section)
    return _embedded_as_they_are(current())


@contextmanager
def one_look() -> Iterator[None]:
    """A block in which the doors for looking ask supervisord and the gateway once, however many products there are.

    For a machine whose platform is up.
    """
    router: EnvoyRouter = _embedded_as_they_are(current()).router  # type: ignore[assignment]
    with _supervisor_as_it_is(current()).one_look(), router.one_look():
        yield


@lru_cache(maxsize=1)
def _embedded_as_they_are(settings: Settings) -> Doors:
    return embedded_doors(settings, _supervisor_as_it_is(settings))


@lru_cache(maxsize=1)
def _supervisor_as_it_is(settings: Settings) -> "Supervisor":
    from deployments.supervision import Supervisor

    return Supervisor.of(settings)


def target_of(product: str) -> TargetKind:
    """Where a product was last rolled out; for one that never was, this machine."""
    section = newest_section(product)
    return TargetKind.LOCAL if section is None else section.target


def pod_log(product: str, pod: str, lines: int) -> str:
    """The last lines that a pod of the product wrote; empty if there is no such pod, or the product in no cluster."""
    from deployments.cluster import Cluster
    from deployments.targets.kubernetes.manifests import CONTAINER, FETCHER

    section = newest_section(product)
    if section is None or section.target is not TargetKind.KUBERNETES:
        return ""
    cluster = Cluster.of(section.kubernetes.namespace, section.kubernetes.context)
    said = (cluster.log(pod, container, lines) for container in (CONTAINER, FETCHER))
    return next(filter(None, said), "")


def newest_section(product: str) -> RolloutSection | None:
    """By which a product was last rolled out; None for one that never was."""
    rollouts = journal().rollouts(product)
    return rollouts[0].section if rollouts else None


@lru_cache(maxsize=1)
def _embedded_doors() -> Doors:
    from deployments.local_platform.gateway import ensure_gateway

    settings = current()
    return embedded_doors(settings, ensure_gateway(settings))


def embedded_doors(settings: Settings, supervisor: "Supervisor") -> Doors:
    """The embedded platform's doors: Envoy, processes under supervisord, the journal's database, MLflow."""
    from deployments.local_platform.desired_routing import witness_of
    from deployments.local_platform.disk_reclaim import make_room
    from deployments.local_platform.gateway import ensure_gateway
    from deployments.metrics.composite import live_metrics
    from deployments.metrics.feedback.store import FeedbackLedger
    from deployments.routers.envoy import EnvoyRouter
    from deployments.targets.process import ProcessTarget

    clock = SystemClock()
    gateway = settings.home.resolve() / "gateway"
    witness = witness_of(settings, supervisor)
    router = EnvoyRouter(gateway, settings.run_folder, clock, settings.logs / "gateway.log", witness=witness)
    target = ProcessTarget(supervisor, settings)

    def servers(product: str) -> Mapping[int, Sequence[str]]:
        return {
            version: [replica.address for replica in target.replicas(product, version)]
            for version in target.versions(product)
        }

    return Doors(
        router=router,
        target=target,
        journal=journal(),
        registry=registry(),
        metrics=live_metrics(
            (router.tallies, router.copies), servers, FeedbackLedger(settings.feedback_database), clock, router.users
        ),
        clock=clock,
        models=settings.models,
        repair=lambda: (make_room(settings), ensure_gateway(settings)),
        place=this_place(settings),
        keep=renewals().keep,
        last_lease=renewals().last,
    )


@lru_cache(maxsize=16)
def _cluster_doors(section: str) -> Doors:
    return cluster_doors(current(), KubernetesSection.model_validate_json(section))


def cluster_doors(settings: Settings, section: KubernetesSection, cluster: "Cluster | None" = None) -> Doors:
    """The doors of a Kubernetes cluster: pods, an HTTPRoute, and what the pods count; `cluster` None: by `section`.

    Raises `BadInput` where pods could not find the registry.
    """
    from deployments.caller_authentication import Proofs
    from deployments.cluster import Cluster
    from deployments.metrics.category_drift import unknown_categories
    from deployments.metrics.composite import cluster_metrics
    from deployments.metrics.feedback.store import FeedbackLedger
    from deployments.metrics.gateway_prometheus import GatewayCounts
    from deployments.metrics.pod_prometheus import PrometheusCounters
    from deployments.metrics.pods import PodCounters
    from deployments.metrics.prometheus_api import Prometheus
    from deployments.routers.gateway_api import GatewayApiRouter
    from deployments.routers.kubernetes_service import ServiceRouter
    from deployments.targets.kubernetes import KubernetesTarget

    clock = SystemClock()
    cluster = cluster or Cluster.of(section.namespace, section.context)
    proofs = Proofs(settings.keys_folder)
    pods = PodCounters(cluster, proofs)
    counters = PrometheusCounters(section.prometheus, namespace=cluster.namespace) if section.prometheus else pods
    tracking, login = _tracking_of_pods(settings, section), settings.tracking_secret
    section = section.model_copy(update={"requests_secret": section.requests_secret or settings.requests_secret})
    target = KubernetesTarget(cluster, section, tracking, clock, settings.trusted_types, login, proofs)
    counts = counters.counts
    if section.prometheus and section.gateway is not None and section.gateway.metrics is not None:
        counts = GatewayCounts(
            Prometheus(section.prometheus),
            section.gateway.metrics,
            cluster.namespace,
            counters.counts,
            target.versions,
            clock,
        ).counts
    router: GatewayApiRouter | ServiceRouter
    if section.gateway is not None:
        router = GatewayApiRouter(cluster, section.gateway, counters, clock, proofs=proofs)
    else:
        router = ServiceRouter(cluster, counters)
    return Doors(
        router=router,
        target=target,
        journal=journal(),
        registry=registry(),
        metrics=cluster_metrics(counts, pods, FeedbackLedger(settings.feedback_database), clock),
        clock=clock,
        models=settings.models,
        repair=lambda: None,
        keep=renewals().keep,
        last_lease=renewals().last,
        expect_rights=cluster.rights.expect_all,
        category_jumps=lambda product: unknown_categories(pods.servers(product), pods.ask),
    )


def _tracking_of_pods(settings: Settings, section: KubernetesSection) -> str | None:
    """Where pods find the registry; None where they have the model, or are told by the spec's environment."""
    if section.model == "image" or "SEATRIAL_TRACKING_URI" in section.environment or section.secrets:
        return None
    if settings.tracking_uri is None or not settings.tracking_uri.startswith(("http://", "https://")):
        raise BadInput(
            f"pods cannot fetch models from {settings.mlflow_uri}: set SEATRIAL_TRACKING_URI to the address of an "
            "MLflow server that they reach, or rollout.kubernetes.model to image"
        )
    return settings.tracking_uri


@lru_cache(maxsize=1)
def journal() -> Journal:
    """The record of what was decided and done; needs nothing to be up but its database."""
    from deployments.journals.journal_url import open_journal

    return open_journal(current().journal_address)


@lru_cache(maxsize=1)
def renewals() -> "Renewals":
    """What renews the leases of this process."""
    from deployments.journals.lease_renewal import Renewals

    return Renewals(journal(), SystemClock())


def inference_log_of(product: str) -> Log:
    """The log that a product's servers write by its newest rollout; for one without any, where it would be."""
    section = newest_section(product)
    log = LogSection() if section is None else section.server.log
    return Log(log.folder or str(current().inference_log), log.flush)


@lru_cache(maxsize=1)
def registry() -> "ModelRegistry":
    """The model registry; needs nothing to be up but its database."""
    from deployments.registry import ModelRegistry

    return ModelRegistry(current().mlflow_uri, current().keys_folder, _noted_seal)


def _noted_seal(product: str, version: int) -> str | None:
    noted = registration_of(journal().events(product), version)
    return None if noted is None else noted.seal
