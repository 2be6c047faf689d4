"""What the pods of a product count: each is asked through the API server, where a gateway's own counters are not ours.

A pod tells only what it answered: what a gateway answers on its own, for want of a pod, is in no count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.caller_authentication import KEY, RUN_HEADER, RUN_VARIABLE, UNPROVED, Proofs
from deployments.cluster import ApiError, ApiForbidden, Cluster, errors_as, selector_of
from deployments.cluster.object_names import COPIES_PORT, object_name, version_of
from deployments.cluster.resource_kinds import POD
from deployments.errors import ClusterRefused, MetricsUnreachable
from deployments.metrics.model_servers import collect_counts, predictions_in

_ANSWER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What one pod has counted; `source` is that of what users asked."""

    source: Source
    users: Counts
    copies: Counts
    predictions: Mapping[str, float]
    in_flight: int

    @property
    def of_copies(self) -> Source:
        return replace(self.source, mirrored=True)


class PodCounters:
    """Counts of pods, each start of a server a source of its own; a pod that does not answer is left out.

    They are shown the proof of a run (`proofs`). Every method raises `MetricsUnreachable` while the API server does not
    answer, and `ClusterRefused` where we may not list pods or ask them, or where one does not take our proof.
    """

    def __init__(self, cluster: Cluster, proofs: Proofs | None = None) -> None:
        self._cluster, self._proofs = cluster, proofs or Proofs(None)
        # By the name of a pod that was listed, the product and version that it serves.
        self._serving: dict[str, tuple[str, int]] = {}

    def in_flight(self, product: str, version: int) -> int:
        """Requests, and copies, that the pods of this version are answering right now."""
        return sum(each.in_flight for each in self._told(product, version))

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """What each pod answered to users, and what they did not wait for."""
        return {each.source: each.users for each in self._told(product)}

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """What each pod made of mirrored copies."""
        return {each.of_copies: each.copies for each in self._told(product)}

    def counts(self, product: str) -> Mapping[Source, Counts]:
        """Tallies, copies and predictions at once, for one question a pod."""
        found: dict[Source, Counts] = {}
        for each in self._told(product):
            found[each.source] = replace(each.users, predictions=each.predictions)
            found[each.of_copies] = each.copies
        return found

    def servers(self, product: str, version: int | None = None) -> Mapping[int, Sequence[str]]:
        """Names of the pods that run, by version; also of those that are leaving, for they have counted too."""
        with errors_as(MetricsUnreachable, f"cluster {self._cluster.address}"):
            pods, _ = self._cluster.list(POD, selector_of(product, version))
        found: dict[int, list[str]] = {}
        for pod in pods:
            of = version_of(pod)
            if of is not None and (pod.get("status") or {}).get("phase") == "Running":
                name = str(pod["metadata"]["name"])
                found.setdefault(of, []).append(name)
                self._serving[name] = product, of
        return found

    def ask(self, pod: str, path: str) -> tuple[int, bytes]:
        """See `deployments.metrics.model_servers.Ask`; by the port from which no user gets an answer."""
        try:
            said = self._cluster.proxied(pod, COPIES_PORT, "GET", path, None, _ANSWER_SECONDS, self._proof(pod))
        except ApiForbidden as error:
            raise ClusterRefused(
                f"cluster {self._cluster.address}: {error}: allow `get` of pods/proxy, or name a Prometheus in "
                "rollout.kubernetes.prometheus"
            ) from error
        except ApiError as error:
            raise MetricsUnreachable(f"pod {pod} does not answer through {self._cluster.address}: {error}") from error
        if said.status == UNPROVED and pod in self._serving:
            raise ClusterRefused(
                f"pod {pod} does not take our proof: give this run the key {KEY!r} of whoever started it; "
                f"where that is lost, `kubectl set env deployment/{object_name(*self._serving[pod])} {RUN_VARIABLE}-`"
            )
        return said.status, said.body

    def _proof(self, pod: str) -> dict[str, str]:
        proof = self._proofs.of_run(*self._serving[pod]) if pod in self._serving else ""
        return {RUN_HEADER: proof} if proof else {}

    def _told(self, product: str, version: int | None = None) -> Sequence[_Told]:
        return collect_counts(self.ask, self.servers(product, version), _understood)


def _understood(source: Source, told: Any) -> _Told:
    users, copies = _counts(told["users"]), _counts(told["copies"])
    return _Told(source, users, copies, predictions_in(told), int(told["in_flight"]))


def _counts(told: Any) -> Counts:
    """A server that does not tell what was given up, as they did not once, is like one to whom it did not happen."""
    latency, given_up = _buckets(told["latency"]), _buckets(told["given_up"]) if "given_up" in told else ()
    return Counts(int(told["requests"]), int(told["errors"]), latency, given_up=given_up if any(given_up) else ())


def _buckets(told: Any) -> tuple[int, ...]:
    counts = tuple(int(count) for count in told)
    if len(counts) != len(LATENCY_BOUNDS_MS) + 1:
        raise ValueError(f"{len(counts)} buckets are not ours")
    return counts
