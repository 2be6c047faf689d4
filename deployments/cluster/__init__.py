"""A Kubernetes cluster as the doors see it: objects are plain dicts, errors are a few classes.

Belongs here: talking to the API server, and what all objects of ours have in common. Does not belong here: what a
Deployment, a route or a lease looks like; that is the business of the door that owns it.
"""

from deployments.cluster.errors import (
    ApiError,
    ApiForbidden,
    ApiUnreachable,
    Conflicting,
    Expired,
    Invalid,
    Missing,
    errors_as,
)
from deployments.cluster.fencing import TRIES, annotation, newest_token, token_annotation
from deployments.cluster.object_names import MANAGER, is_ours, labels_of, object_name, selector_of
from deployments.cluster.resource_client import Cluster, Proxied
from deployments.cluster.resource_kinds import Kind

__all__ = [
    "MANAGER",
    "TRIES",
    "ApiError",
    "ApiForbidden",
    "ApiUnreachable",
    "Cluster",
    "Conflicting",
    "Expired",
    "Invalid",
    "Kind",
    "Missing",
    "Proxied",
    "annotation",
    "errors_as",
    "is_ours",
    "labels_of",
    "newest_token",
    "object_name",
    "selector_of",
    "token_annotation",
]
