"""What becomes of pods, routes and the like: a test writes it down, the controllers play it."""

from dataclasses import dataclass, field
from enum import StrEnum


class Fate(StrEnum):
    """How a pod fares."""

    READY = "ready"
    NEVER_READY = "never ready"
    IMAGE_MISSING = "image missing"
    UNSCHEDULABLE = "unschedulable"
    CRASHING = "crashing"
    PROBE_FAILING = "probe failing"


@dataclass(frozen=True, slots=True)
class PodScript:
    """The fate of a pod and its details. `message` is what the kubelet or the scheduler says, empty for the usual
    words; `terminates` False leaves a deleted pod behind, as on a node that is gone."""

    fate: Fate = Fate.READY
    message: str = ""
    exit_code: int = 1
    restarts: int = 3
    reason: str = "Error"
    log: str = ""
    terminates: bool = True


READY = PodScript()
NEVER_READY = PodScript(Fate.NEVER_READY)
IMAGE_MISSING = PodScript(Fate.IMAGE_MISSING)
UNSCHEDULABLE = PodScript(Fate.UNSCHEDULABLE)
CRASHING = PodScript(Fate.CRASHING)
PROBE_FAILING = PodScript(Fate.PROBE_FAILING)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition of a route, as its Gateway sees it."""

    holds: bool
    reason: str
    message: str = ""


@dataclass(slots=True)
class Scripts:
    """What is written down. Names are those of Deployments or pods, routes by name; the pod's own script goes first."""

    pods: dict[str, PodScript] = field(default_factory=dict)
    everything_else: PodScript = READY
    late: set[str] = field(default_factory=set)
    routes: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    ignored_routes: set[str] = field(default_factory=set)
    lost_nodes: set[str] = field(default_factory=set)
    no_manager: bool = False

    def of_pod(self, pod: str, deployment: str) -> PodScript:
        """What a pod of that Deployment is to do."""
        return self.pods.get(pod) or self.pods.get(deployment) or self.everything_else
