"""Which implementation stands behind each door: the one place that knows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.clock import Clock, SystemClock
from deployments.errors import BadInput
from deployments.inference_logs import Log
from deployments.journals.protocol import Journal
from deployments.metrics.protocol import Metrics
from deployments.registry.protocol import Champions
from deployments.routers.protocol import Router
from deployments.settings import Settings, current
from deployments.spec import KubernetesSection, LogSection, RolloutSection, TargetKind
from deployments.targets.protocol import Target

if TYPE_CHECKING:
    from deployments.cluster import Cluster
    from deployments.registry import ModelRegistry
    from deployments.supervision import Supervisor


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything a rollout touches.

    `models` is the folder that model files are fetched into; `repair` starts again what the platform lost, and makes
    room on a full disk.
    """

    router: Router
    target: Target
    journal: Journal
    registry: Champions
    metrics: Metrics
    clock: Clock
    models: Path
    repair: Callable[[], object]


def doors(section: RolloutSection) -> Doors:
    """The doors to where a rollout section says that its servers run, by this process's settings; opened once.

    The embedded gateway is started if it is needed and not up.
    """
    if section.target is TargetKind.KUBERNETES:
        return _cluster_doors(section.kubernetes.model_dump_json())
    return _embedded_doors()


def doors_as_they_are(product: str) -> Doors:
    """The doors to where a product was last rolled out, for looking only.

    Nothing is started, and what is down raises its `…Unreachable` when it is asked.
    """
    from deployments.supervision import Supervisor

    section = _newest_section(product)
    if section is not None and section.target is TargetKind.KUBERNETES:
        return doors(section)
    settings = current()
    return embedded_doors(settings, Supervisor.of(settings))


def target_of(product: str) -> TargetKind:
    """Where a product was last rolled out; for one that never was, this machine."""
    section = _newest_section(product)
    return TargetKind.LOCAL if section is None else section.target


def _newest_section(product: str) -> RolloutSection | None:
    """By which a product was last rolled out; None for one that never was."""
    rollouts = journal().rollouts(product)
    return rollouts[0].section if rollouts else None


@lru_cache(maxsize=1)
def _embedded_doors() -> Doors:
    from deployments.platform.gateway import ensure_gateway

    settings = current()
    return embedded_doors(settings, ensure_gateway(settings))


def embedded_doors(settings: Settings, supervisor: "Supervisor") -> Doors:
    """The embedded platform's doors: Envoy, processes under supervisord, the journal's database, MLflow."""
    from deployments.metrics.feedback import FeedbackLedger
    from deployments.metrics.live import live_metrics
    from deployments.platform.gateway import ensure_gateway
    from deployments.platform.room import make_room
    from deployments.platform.routings import witness_of
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
            (router.tallies, router.copies), servers, FeedbackLedger(settings.feedback_database), clock
        ),
        clock=clock,
        models=settings.models,
        repair=lambda: (make_room(settings), ensure_gateway(settings)),
    )


@lru_cache(maxsize=16)
def _cluster_doors(section: str) -> Doors:
    return cluster_doors(current(), KubernetesSection.model_validate_json(section))


def cluster_doors(settings: Settings, section: KubernetesSection, cluster: "Cluster | None" = None) -> Doors:
    """The doors of a Kubernetes cluster: pods, an HTTPRoute, and what the pods count; `cluster` None: by `section`.

    Raises `BadInput` where pods could not find the registry.
    """
    from deployments.cluster import Cluster
    from deployments.metrics.feedback import FeedbackLedger
    from deployments.metrics.live import cluster_metrics
    from deployments.metrics.pods import PodCounters
    from deployments.metrics.prometheus import PrometheusCounters
    from deployments.routers.gateway_api import GatewayApiRouter
    from deployments.routers.service import ServiceRouter
    from deployments.targets.kubernetes import KubernetesTarget

    clock = SystemClock()
    cluster = cluster or Cluster.of(section.namespace, section.context)
    pods = PodCounters(cluster)
    counters = PrometheusCounters(section.prometheus, namespace=cluster.namespace) if section.prometheus else pods
    router: GatewayApiRouter | ServiceRouter
    if section.gateway is not None:
        router = GatewayApiRouter(cluster, section.gateway, counters, clock)
    else:
        router = ServiceRouter(cluster, counters)
    return Doors(
        router=router,
        target=KubernetesTarget(cluster, section, _tracking_of_pods(settings, section), clock),
        journal=journal(),
        registry=registry(),
        metrics=cluster_metrics(counters.counts, pods, FeedbackLedger(settings.feedback_database), clock),
        clock=clock,
        models=settings.models,
        repair=lambda: None,
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
    from deployments.journals.opening import open_journal

    return open_journal(current().journal_address)


def inference_log_of(product: str) -> Log:
    """The log that a product's servers write by its newest rollout; for one without any, where it would be."""
    section = _newest_section(product)
    log = LogSection() if section is None else section.server.log
    return Log(log.folder or str(current().inference_log), log.flush)


@lru_cache(maxsize=1)
def registry() -> "ModelRegistry":
    """The model registry; needs nothing to be up but its database."""
    from deployments.registry import ModelRegistry

    return ModelRegistry(current().mlflow_uri)
