"""An address says which journal is meant."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.cluster import Cluster
from deployments.errors import BadInput, ClusterRefused
from deployments.journals.database import DatabaseJournal
from deployments.journals.journal_url import open_journal
from deployments.journals.kubernetes import ClusterJournal
from deployments.process_identity import this_process
from deployments.settings import Settings
from tests.fakes.kubernetes import FakeKubernetes


def test_a_namespace_is_a_journal_in_the_cluster_and_any_other_address_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeKubernetes() as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        journal = open_journal("kubernetes://models")
        assert isinstance(journal, ClusterJournal)
        assert journal.events() == ()
        assert all("/namespaces/models/" in request.path for request in api.requests)
    database = open_journal(f"sqlite:///{tmp_path / 'journal.db'}")
    assert isinstance(database, DatabaseJournal)
    database.close()


def test_a_namespace_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with FakeKubernetes(controllers=False) as api:
        journal = ClusterJournal(Cluster.of("nowhere", kubeconfig=api.kubeconfig(tmp_path / "kubeconfig")))
        with pytest.raises(ClusterRefused, match='namespaces "nowhere" not found'):
            journal.acquire("flights", this_process(), datetime(2026, 3, 1, tzinfo=UTC), timedelta(minutes=1))
        assert api.request_count == 3


@pytest.mark.parametrize("address", ["kubernetes://a/b", "kubernetes://me:hunter2@models"])
def test_what_names_no_namespace_is_refused(address: str) -> None:
    with pytest.raises(BadInput):
        open_journal(address)


def test_feedback_stays_in_a_database_where_the_journal_is_in_a_cluster(tmp_path: Path) -> None:
    in_cluster = Settings(home=tmp_path, journal_url="kubernetes://models")
    assert in_cluster.feedback_database == Settings(home=tmp_path).journal_address
    in_postgres = Settings(home=tmp_path, journal_url="postgresql://db/seatrial")
    assert in_postgres.feedback_database == "postgresql://db/seatrial"
