"""A product on the cluster and how its rollouts are carried, as flows/rollout.py does it but without Prefect."""

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from deployments.cluster import Cluster
from deployments.errors import JournalUnreachable
from deployments.journals.kubernetes import ClusterJournal
from deployments.registry import ModelRegistry
from deployments.rollout.state import RolloutState
from deployments.settings import Settings
from deployments.spec import (
    ABSection,
    AnalysisSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    GatewaySection,
    KubernetesSection,
    MetricRule,
    ResourcesSection,
    RolloutSection,
    ShadowSection,
    Strategy,
    TargetKind,
)
from deployments.strategies.plan import Goal
from deployments.wiring import Doors, cluster_doors
from tasks.rollout_engine.abandonment import give_up_for
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import Wish, begin, is_carried_here
from tests.cluster.fleet import Fleet

SECOND = timedelta(seconds=1)
RATE = 60.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One product on the cluster; its users ask at `url`."""

    product: str
    fleet: Fleet
    doors: Doors
    section: RolloutSection
    url: str

    def wish(self, version: int, strategy: Strategy, **changes: Any) -> Wish:
        """For a version to be rolled out."""
        section = self.section.model_copy(update={"strategy": strategy, **changes})
        return Wish(f"{self.product}-{version}-{strategy}", self.product, version, section, strategy, Goal.PROMOTE)

    def roll_out(self, version: int, strategy: Strategy, **changes: Any) -> RolloutState:
        """From its plan to its end."""
        return carried(begin(self.wish(version, strategy, **changes), self.doors), self.doors)

    def by_way_of(self, cluster: Cluster, **kubernetes: Any) -> "Trial":
        """The same product for a runner who comes to the cluster in another way, or with other wishes."""
        section = self.section.kubernetes.model_copy(update=kubernetes)
        made = doors_to(cluster, section, self.fleet.settings, self.fleet.registry)
        return replace(self, doors=made, section=self.section.model_copy(update={"kubernetes": section}))

    @property
    def champion(self) -> int:
        """The version that serves."""
        champion = self.doors.registry.champion(self.product)
        assert champion is not None
        return champion.version

    @property
    def at_rest_with(self) -> tuple[int, ...]:
        """The versions that have servers, once all traffic is with the champion."""
        live = self.doors.router.read(self.product)
        assert live is not None
        assert {version: share for version, share in live.weights.percents.items() if share} == {self.champion: 100}
        assert (live.matches, live.mirror) == ((), None)
        return self.doors.target.versions(self.product)

    def end(self) -> None:
        """Nothing of it is left."""
        self.doors.router.remove(self.product)
        for version in self.doors.target.versions(self.product):
            self.doors.target.retire(self.product, version, 10 * SECOND)


def carried(state: RolloutState, doors: Doors) -> RolloutState:
    """To its end: what fails is given up, and what fails then is raised."""
    try:
        return _to_its_end(state, doors)
    except Exception as error:
        mine = is_carried_here(state.product, state.rollout_id, doors)
        if mine is None:
            raise
        return _to_its_end(give_up_for(error, mine, doors), doors)


def _to_its_end(state: RolloutState, doors: Doors) -> RolloutState:
    carrier = Carrier(doors)
    while state.live:
        try:
            state = carrier.advance(state)
        except JournalUnreachable:
            # Without it nothing may be done, not even put back.
            time.sleep(1)
    return state


def doors_to(cluster: Cluster, section: KubernetesSection, settings: Settings, registry: ModelRegistry) -> Doors:
    """The doors to a cluster, with the journal in it."""
    made = cluster_doors(settings, section, cluster)
    return replace(made, registry=registry, journal=ClusterJournal(cluster))


def section_of(namespace: str, image: str, gateway: GatewaySection) -> RolloutSection:
    """Two pods a version and every strategy in seconds."""
    return RolloutSection(
        target=TargetKind.KUBERNETES,
        replicas=2,
        ready_timeout=timedelta(minutes=6),
        bake=3 * SECOND,
        canary=CanarySection(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), wait=5 * SECOND),
        blue_green=BlueGreenSection(preview=SECOND),
        ab=ABSection(share=50, sample=200),
        shadow=ShadowSection(share=50, sample=100),
        analysis=AnalysisSection(
            interval=SECOND,
            deadline=timedelta(minutes=5),
            metrics=(MetricRule(metric="error_rate", margin=0.05, limit=0.3),),
        ),
        kubernetes=KubernetesSection(
            namespace=namespace,
            image=image,
            resources=ResourcesSection(cpu="50m", memory="700Mi"),
            gateway=gateway,
        ),
    )
