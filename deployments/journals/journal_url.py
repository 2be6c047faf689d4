"""Which journal an address means."""

from typing import Final

from deployments.errors import BadInput
from deployments.journals.database import DatabaseJournal
from deployments.journals.kubernetes import ClusterJournal

IN_A_CLUSTER: Final = "kubernetes://"


def open_journal(address: str) -> DatabaseJournal | ClusterJournal:
    """The journal in a database, by its SQLAlchemy URL, or in a namespace: `kubernetes://NAMESPACE`.

    Raises `BadInput` where there is no cluster to talk to.
    """
    if not address.startswith(IN_A_CLUSTER):
        return DatabaseJournal(address)
    from deployments.cluster import Cluster

    namespace = address.removeprefix(IN_A_CLUSTER).strip("/")
    if "/" in namespace or "@" in namespace:
        raise BadInput("the address of the journal names no namespace: write kubernetes://NAMESPACE")
    return ClusterJournal(Cluster.of(namespace or None))
