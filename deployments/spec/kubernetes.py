"""Where in a cluster a product's model servers run, and what their pods are like."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from deployments.spec.base_section import Section

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
_PLACEHOLDERS = frozenset({"service", "version", "product", "namespace"})
Name = Annotated[str, Field(pattern=_NAME)]
Quantity = Annotated[str, Field(pattern=_QUANTITY)]


class ResourcesSection(Section):
    """What one pod asks for and may take at most, in Kubernetes' quantities."""

    cpu: Quantity = Field(default="250m", description="CPU that is kept for it")
    memory: Quantity = Field(default="512Mi", description="memory that is kept for it, and the most that it may take")
    cpu_limit: Quantity | None = Field(default=None, description="most CPU; None: what the node has left")


class TolerationRule(Section):
    """A taint of nodes that does not keep the pods away."""

    key: Annotated[str, Field(min_length=1)] = Field(description="key of the taint")
    value: str | None = Field(default=None, description="its value; None: any")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="its effect; None: any"
    )


class VolumeRule(Section):
    """A volume that the servers see; exactly one of `secret`, `config_map` and `claim` names it."""

    mount: Annotated[str, Field(pattern=r"^/[^:]*$")] = Field(description="absolute path in the pod")
    secret: Name | None = Field(default=None, description="Secret")
    config_map: Name | None = Field(default=None, description="ConfigMap")
    claim: Name | None = Field(default=None, description="PersistentVolumeClaim, such as one for the inference log")
    read_only: bool = Field(default=True, description="whether the servers may only read it")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.secret, self.config_map, self.claim)) != 1:
            raise ValueError(f"the volume at {self.mount} needs exactly one of secret, config_map and claim")
        return self


class AutoscalingSection(Section):
    """Pods of a version follow its load; `rollout.replicas` is the least."""

    most: Annotated[int, Field(ge=2, le=256)] = Field(description="most pods of one version")
    cpu_percent: Annotated[int, Field(ge=10, le=95)] = Field(
        default=70, description="share of `resources.cpu` that pods should use on average"
    )


class GatewayMetricsSection(Section):
    """What the Gateway itself counts of a version, as selectors in PromQL that `prometheus` answers.

    Of raw counters, series by series, without rate() or sum(); $service, $version, $product and $namespace stand in
    them for those of the version.
    """

    requests: Annotated[str, Field(min_length=1)] = Field(description="all requests that it led to the version")
    errors: Annotated[str, Field(min_length=1)] = Field(description="those of them that users got a 5xx for")

    @model_validator(mode="after")
    def _by_version(self) -> Self:
        for name in ("requests", "errors"):
            query = getattr(self, name)
            named = re.findall(r"\$\{?([a-z_]+)", query)
            if unknown := sorted(set(named) - _PLACEHOLDERS):
                known = ", ".join(f"${each}" for each in sorted(_PLACEHOLDERS))
                raise ValueError(f"{name} names ${unknown[0]}, which stands for nothing: use {known}")
            if not {"service", "version"} & set(named):
                raise ValueError(f"{name} is the same for all versions: name $service or $version in it")
        return self


class GatewaySection(Section):
    """The Gateway (Gateway API) that the product's route is attached to."""

    name: Name = Field(description="name of the Gateway")
    namespace: Name | None = Field(default=None, description="its namespace; None: that of the product")
    listener: Name | None = Field(default=None, description="one of its listeners; None: all that allow the route")
    hostnames: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), description="hosts; none: all")
    path: Annotated[str, Field(pattern=r"^/([^/\s]+/)*$")] | None = Field(
        default=None, description="path before /invocations and /v2; None: /<product>/"
    )
    route: Name | None = Field(
        default=None, description="an HTTPRoute of yours to put our rules into; None: one of our own"
    )
    metrics: GatewayMetricsSection | None = Field(
        default=None, description="what it counts itself, read from `prometheus`; None: only the pods count"
    )
    shortfall: Annotated[float, Field(ge=0)] = Field(
        default=0.1,
        description="how far, relatively, the odds that an answer is the candidate's may lie below the configured ones "
        "before its users are taken to get none, which rolls back; larger where others ask the champion past the "
        "Gateway",
    )


class KubernetesSection(Section):
    """For target kubernetes."""

    context: str | None = Field(
        default=None, min_length=1, description="context of the kubeconfig; None: the current one, or the pod's own"
    )
    namespace: Name | None = Field(default=None, description="namespace of the servers; None: the context's")
    image: str | None = Field(
        default=None, min_length=1, description="image with Seatrial in it (docs/kubernetes.md); needed for kubernetes"
    )
    model: Literal["registry", "image"] = Field(
        default="registry", description="whether the model is fetched when a pod starts, or baked into the image"
    )
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="when nodes fetch the image"
    )
    pull_secrets: tuple[Name, ...] = Field(default=(), description="Secrets that the image is fetched with")
    resources: ResourcesSection = Field(default=ResourcesSection(), description="what a pod asks for")
    node_selector: dict[str, str] = Field(default_factory=dict, description="labels that nodes must have")
    tolerations: tuple[TolerationRule, ...] = Field(default=(), description="taints that do not matter")
    environment: dict[str, str] = Field(
        default_factory=dict, description="further environment variables, nothing secret"
    )
    secrets: tuple[Name, ...] = Field(default=(), description="Secrets whose entries become environment variables")
    requests_secret: Name | None = Field(
        default=None,
        description="Secret whose `requests` is the key that servers seal request ids with, that feedback may be "
        "taken; None: the one that the platform's settings name",
    )
    volumes: tuple[VolumeRule, ...] = Field(default=(), description="volumes that the servers see")
    service_account: Name | None = Field(default=None, description="ServiceAccount; its token is not mounted")
    autoscaling: AutoscalingSection | None = Field(default=None, description="pods by load; None: always `replicas`")
    gateway: GatewaySection | None = Field(
        default=None, description="the Gateway that splits the traffic; None: one Service, whose shares are whole pods"
    )
    prometheus: Annotated[str, Field(pattern=r"^https?://")] | None = Field(
        default=None, description="address of a Prometheus that scrapes the pods; None: the pods are asked"
    )

    @model_validator(mode="after")
    def _asked_somewhere(self) -> Self:
        if self.gateway is not None and self.gateway.metrics is not None and self.prometheus is None:
            raise ValueError("gateway.metrics are read from a Prometheus: give its address in prometheus")
        return self

    @model_validator(mode="after")
    def _mounts(self) -> Self:
        taken = ["/", "/tmp", "/models"]  # noqa: S108 - the pod's own
        for volume in self.volumes:
            mount = volume.mount.rstrip("/") or "/"
            if mount in taken:
                raise ValueError(f"something is mounted at {mount} already: give the volume another place")
            taken.append(mount)
        return self

    @model_validator(mode="after")
    def _nothing_secret(self) -> Self:
        for name in self.environment:
            if any(word in name.upper() for word in ("PASSWORD", "SECRET", "TOKEN")):
                raise ValueError(f"environment variable {name} sounds secret: put it into a Secret, and name that")
        return self
