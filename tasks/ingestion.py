"""Reading a product's rows and keeping an immutable copy of them."""

from prefect.cache_policies import NO_CACHE

from deployments.settings import current
from tasks import retry_policies
from tasks.datasets.snapshot import Snapshot, take_snapshot
from tasks.decision_log import record
from tasks.final_states import task
from tasks.operator_log import tell
from tasks.run_context import Run
from tasks.spec_lint import check_model


@task(name="ingest", task_run_name="ingest {run.product}", cache_policy=NO_CACHE, **retry_policies.NETWORK)
def ingest(run: Run) -> Snapshot:
    """The snapshot of the run's window. Idempotent: the same rows give the same file.

    Raises `BadModel` before anything is read if the model cannot be made: that is known without the data.
    """
    check_model(run.spec, current())
    snapshot = take_snapshot(run.spec, current().snapshots, run.window)
    tell(
        "data.ingested",
        rows=f"{snapshot.rows:,}",
        columns=len(snapshot.columns),
        memory=f"{snapshot.memory_mb:.1f} MB",
        fingerprint=snapshot.fingerprint[:12],
        window=span_of(snapshot),
    )
    record(run, "data.ingested", fingerprint=snapshot.fingerprint, rows=snapshot.rows, window=span_of(snapshot))
    return snapshot


def span_of(snapshot: Snapshot) -> str:
    """First and last moment of the rows, or an empty text for rows without a time."""
    if snapshot.start is None or snapshot.end is None:
        return ""
    return f"{snapshot.start:%Y-%m-%d %H:%M} … {snapshot.end:%Y-%m-%d %H:%M} UTC"
