"""The contract of journals on a real API server, each test in a namespace that is empty of journals."""

from collections.abc import Iterator

import pytest

from deployments.cluster import Cluster
from deployments.cluster.resource_kinds import CONFIG_MAP, LEASE
from deployments.journals.kubernetes import ClusterJournal
from tests.contracts.test_journals import *  # noqa: F403 - the suite itself

_OURS = "app.kubernetes.io/managed-by=seatrial"


@pytest.fixture
def journal(cluster: Cluster) -> Iterator[ClusterJournal]:
    yield ClusterJournal(cluster)
    for kind in (CONFIG_MAP, LEASE):
        for each in cluster.list(kind, _OURS)[0]:
            cluster.delete(kind, each["metadata"]["name"])
