"""Which implementation stands behind each door: the one place that knows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.clock import Clock, SystemClock
from deployments.inference_logs import Log
from deployments.journals.protocol import Journal
from deployments.metrics.protocol import Metrics
from deployments.registry.protocol import Champions
from deployments.routers.protocol import Router
from deployments.settings import Settings, current
from deployments.spec import LogSection
from deployments.targets.protocol import Target

if TYPE_CHECKING:
    from deployments.registry import ModelRegistry
    from deployments.supervision import Supervisor


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything a rollout touches.

    `models` is the folder that model files are fetched into; `repair` starts again what the platform lost.
    """

    router: Router
    target: Target
    journal: Journal
    registry: Champions
    metrics: Metrics
    clock: Clock
    models: Path
    repair: Callable[[], object]


@lru_cache(maxsize=1)
def doors() -> Doors:
    """The doors of this process, by its settings; opened once. The embedded gateway is started if it is not up."""
    from deployments.platform.gateway import ensure_gateway

    settings = current()
    return open_doors(settings, ensure_gateway(settings))


def doors_as_they_are() -> Doors:
    """The doors for looking only: nothing is started, and what is down raises its `…Unreachable` when it is asked."""
    from deployments.supervision import Supervisor

    settings = current()
    return open_doors(settings, Supervisor.of(settings))


def open_doors(settings: Settings, supervisor: "Supervisor") -> Doors:
    """The embedded platform's doors: Envoy, processes under supervisord, the journal's database, MLflow."""
    from deployments.metrics.feedback import FeedbackLedger
    from deployments.metrics.live import live_metrics
    from deployments.platform.gateway import ensure_gateway
    from deployments.routers.envoy import EnvoyRouter
    from deployments.targets.process import ProcessTarget

    clock = SystemClock()
    gateway = settings.home.resolve() / "gateway"
    router = EnvoyRouter(gateway, settings.run_folder, clock, settings.logs / "gateway.log")
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
            (router.tallies, router.copies), servers, FeedbackLedger(settings.journal_database), clock
        ),
        clock=clock,
        models=settings.models,
        repair=lambda: ensure_gateway(settings),
    )


@lru_cache(maxsize=1)
def journal() -> Journal:
    """The record of what was decided and done; needs nothing to be up but its database."""
    from deployments.journals.database import DatabaseJournal

    return DatabaseJournal(current().journal_database)


def inference_log_of(product: str) -> Log:
    """The log that a product's servers write by its newest rollout; for one without any, where it would be."""
    rollouts = journal().rollouts(product)
    section = rollouts[0].section.server.log if rollouts else LogSection()
    return Log(section.folder or str(current().inference_log), section.flush)


@lru_cache(maxsize=1)
def registry() -> "ModelRegistry":
    """The model registry; needs nothing to be up but its database."""
    from deployments.registry import ModelRegistry

    return ModelRegistry(current().mlflow_uri)
