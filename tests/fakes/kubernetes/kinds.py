"""The kinds that the fake cluster knows, and what is particular about each."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

GATEWAY_GROUP = "gateway.networking.k8s.io"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    `custom` kinds come from a CustomResourceDefinition: they know no strategic merge patch, their lists name the kind
    of every item, and they are never replaced without a resourceVersion. `counts_generations` says whether the server
    fills `metadata.generation`."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    subresources: frozenset[str] = frozenset()
    custom: bool = False
    counts_generations: bool = False
    replaced_blindly: bool = True
    created_by_put: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """As errors of server-side apply call it: `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`."""
        return f"{self.group}/{self.version}, Kind={self.name}"

    @property
    def resource(self) -> str:
        """As error messages call it: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def no_version(self) -> str:
        """How a missing resourceVersion is shown."""
        return "0x0" if self.custom else '""'

    @property
    def qualified_name(self) -> str:
        """As messages about invalid objects call it: `Deployment.apps`, `Pod`."""
        return f"{self.name}.{self.group}" if self.group else self.name


STATUS = frozenset({"status"})
SCALED = frozenset({"status", "scale"})

KINDS = (
    Kind("", "v1", "namespaces", "Namespace", namespaced=False, subresources=STATUS),
    Kind("", "v1", "nodes", "Node", namespaced=False, subresources=STATUS),
    Kind(
        "", "v1", "pods", "Pod", subresources=frozenset({"status", "log", "proxy", "eviction"}), counts_generations=True
    ),
    Kind("", "v1", "services", "Service", subresources=STATUS, created_by_put=True),
    Kind("", "v1", "configmaps", "ConfigMap"),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "events", "Event", created_by_put=True),
    Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", subresources=STATUS),
    Kind("", "v1", "serviceaccounts", "ServiceAccount"),
    Kind("apps", "v1", "deployments", "Deployment", subresources=SCALED, counts_generations=True),
    Kind("apps", "v1", "replicasets", "ReplicaSet", subresources=SCALED, counts_generations=True),
    Kind("batch", "v1", "jobs", "Job", subresources=STATUS, counts_generations=True),
    Kind(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        subresources=STATUS,
        counts_generations=True,
        replaced_blindly=False,
    ),
    Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", subresources=STATUS),
    Kind("coordination.k8s.io", "v1", "leases", "Lease", replaced_blindly=False, created_by_put=True),
    Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", counts_generations=True),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", counts_generations=True),
    Kind("rbac.authorization.k8s.io", "v1", "roles", "Role", created_by_put=True),
    Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", created_by_put=True),
    *(
        Kind(
            GATEWAY_GROUP,
            version,
            plural,
            name,
            namespaced=name != "GatewayClass",
            subresources=STATUS if name != "ReferenceGrant" else frozenset(),
            custom=True,
            counts_generations=True,
            replaced_blindly=False,
        )
        for version, plural, name in (
            ("v1", "httproutes", "HTTPRoute"),
            ("v1", "gateways", "Gateway"),
            ("v1", "gatewayclasses", "GatewayClass"),
            ("v1beta1", "referencegrants", "ReferenceGrant"),
        )
    ),
)

BY_NAME = {kind.name: kind for kind in KINDS}
BY_PLACE = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}


def kind_named(name: str) -> Kind:
    """The kind of that name or plural: `Deployment`, `deployments`."""
    return next(kind for kind in KINDS if name in (kind.name, kind.plural))
