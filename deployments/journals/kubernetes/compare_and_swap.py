"""The one way in which an object of the journal changes: compare and swap, until nobody was in between."""

from collections.abc import Callable
from typing import Any, Final

from deployments.cluster import MANAGER, Cluster, Conflicting, Kind
from deployments.cluster.object_names import MANAGED_BY
from deployments.errors import ClusterRefused, JournalUnreachable

Object = dict[str, Any]
_TRIES: Final = 50


def read(cluster: Cluster, kind: Kind, name: str) -> Object | None:
    """The object; None for none. Raises `ClusterRefused` for one of somebody else's."""
    found = cluster.get(kind, name)
    if found is not None and (found["metadata"].get("labels") or {}).get(MANAGED_BY) != MANAGER:
        raise ClusterRefused(f"{kind.name} {name} in namespace {cluster.namespace} is not ours: rename or remove it")
    return found


def swap(
    cluster: Cluster, kind: Kind, name: str, known: Object | None, edit: Callable[[Object | None], Object | None]
) -> Object | None:
    """What is there after `edit`: it gets what is there (None: nothing), returns what shall be, None for no change.

    `known` may be given as what was there lately. `edit` is called again whenever somebody else was quicker, which is
    also how our own write looks whose answer got lost: it has to recognize that. Raises `JournalUnreachable` when
    there is no end of it.
    """
    for attempt in range(_TRIES):
        found = known if known is not None and not attempt else read(cluster, kind, name)
        wanted = edit(found)
        if wanted is None:
            return found
        try:
            if found is None:
                return cluster.create(kind, wanted)
            wanted["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            return cluster.replace(kind, wanted)
        except Conflicting:
            continue
    raise JournalUnreachable(f"{kind.name} {name}: others were quicker {_TRIES} times: try again")
