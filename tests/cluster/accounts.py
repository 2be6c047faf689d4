"""Runners with few rights: an account of the cluster with a Role, and the way of whoever has its token."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.cluster import Cluster
from deployments.cluster.resource_kinds import Kind
from tests.cluster.relay import kubeconfig

_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
_ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")


def without(rules: list[dict[str, Any]], verb: str, resource: str) -> list[dict[str, Any]]:
    """The rules but for one verb on one resource. Raises LookupError if they do not have it."""
    if not any(verb in rule["verbs"] and resource in rule["resources"] for rule in rules):
        raise LookupError(f"nobody may {verb} {resource}")
    return [
        {**rule, "verbs": [each for each in rule["verbs"] if resource not in rule["resources"] or each != verb]}
        for rule in rules
    ]


@contextmanager
def runner_with(
    rules: list[dict[str, Any]], cluster: Cluster, folder: Path, name: str = "tried-runner"
) -> Iterator[Cluster]:
    """The cluster for an account of that name that may do what `rules` say, and nothing else."""
    named = {"metadata": {"name": name}}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": cluster.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    cluster.apply(_ACCOUNT, named)
    cluster.apply(_ROLE, {**named, "rules": [rule for rule in rules if rule["verbs"]]})
    cluster.apply(_BINDING, {**named, "roleRef": role, "subjects": [subject]})
    try:
        way = kubeconfig(folder / f"{name}.json", cluster.namespace, token=_token(cluster.namespace, name))
        yield Cluster.of(cluster.namespace, kubeconfig=way)
    finally:
        for kind in (_BINDING, _ROLE, _ACCOUNT):
            cluster.delete(kind, name)


def _token(namespace: str, name: str) -> str:
    from kubernetes import client

    asked = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=6 * 3600)
    )
    told = client.CoreV1Api().create_namespaced_service_account_token(name, namespace, asked)
    token: str = told.status.token
    return token
