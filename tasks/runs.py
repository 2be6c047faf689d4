"""Prefect's own view of our runs: who was cancelled, and which are shown as running though their process died."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.runtime import flow_run

from deployments.clock import SystemClock

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_EVERY = timedelta(seconds=2)


def cancellation(run_id: str) -> Callable[[], str | None]:
    """A question that may be asked often: whether a person cancelled this work in Prefect, and why; None if nobody did.

    Asked of the run `run_id` that began it, of the present run and of those that it belongs to: a subflow is not told
    by Prefect, and a run without a worker is not either. Prefect is asked every two seconds at most; while it does not
    answer, nobody has cancelled. Once somebody has, that stays the answer.
    """
    runs = set(_ids((run_id, flow_run.id, flow_run.parent_flow_run_id, flow_run.root_flow_run_id)))
    clock, asked, cancelled = SystemClock(), 0.0, False

    def stop() -> str | None:
        nonlocal asked, cancelled
        if runs and not cancelled and clock.monotonic() - asked >= _EVERY.total_seconds():
            asked, cancelled = clock.monotonic(), _any_cancelled(runs)
        return "cancelled in Prefect" if cancelled else None

    return stop


def name_present_run(name: str) -> None:
    """Give the present flow run a name that tells more than was known when it began; without Prefect do nothing."""

    present = _ids((flow_run.id,))

    def rename(client: "SyncPrefectClient") -> None:
        for run in present:
            client.update_flow_run(run, name=name)

    if present:
        _with_prefect(rename)


def close_dead_run(run_id: str) -> None:
    """Tell Prefect that a run and its subflows died, if it still shows them as running; without Prefect do nothing."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterParentFlowRunId

    def close(client: "SyncPrefectClient") -> None:
        for run in _ids((run_id,)):
            for known in (
                *client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run]))),
                *client.read_flow_runs(
                    flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
                ),
            ):
                _close(client, known.id, known.state)

    _with_prefect(close)


def _close(client: "SyncPrefectClient", run: UUID, state: object) -> None:
    from prefect.client.schemas.objects import State
    from prefect.states import Cancelled, Crashed

    if isinstance(state, State) and not state.is_final():
        died = "its process died"
        client.set_flow_run_state(
            run, Cancelled(message=died) if state.is_cancelling() else Crashed(message=died), force=True
        )


def _any_cancelled(runs: set[UUID]) -> bool:
    found: list[bool] = []

    def ask(client: "SyncPrefectClient") -> None:
        for run in runs:
            state = client.read_flow_run(run).state
            found.append(state is not None and (state.is_cancelling() or state.is_cancelled()))

    _with_prefect(ask)
    return any(found)


def _with_prefect(act: Callable[["SyncPrefectClient"], None]) -> None:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    try:
        with get_client(sync_client=True) as client:
            act(client)
    except (httpx.HTTPError, PrefectException, OSError):
        return


def _ids(texts: Iterable[object]) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(UUID(str(text)))
        except ValueError:  # begun outside Prefect
            continue
    return found
