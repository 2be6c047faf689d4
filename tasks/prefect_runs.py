"""Prefect's own view of our runs: who was cancelled, and which are shown as running though their process died."""

from collections.abc import Callable, Iterable
from contextvars import copy_context
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect.runtime import flow_run

from deployments.clock import SystemClock
from tasks.final_states import ENDS
from tasks.rollout_engine.cancellation import CANCELLED

if TYPE_CHECKING:
    from prefect import State
    from prefect.client.orchestration import SyncPrefectClient

_EVERY = timedelta(seconds=2)
_PATIENCE_SECONDS = 1.0
# For what is worth more than a name.
_LONG_PATIENCE_SECONDS = 5.0
# What Prefect answers whoever refers to a run that it does not know.
_GONE: Final = frozenset({404, 409})


def cancellation(run_id: str) -> Callable[[], str | None]:
    """A question that may be asked often: whether a person cancelled this work in Prefect, and why; None if nobody did.

    Asked of the run `run_id` that began it, of the present run and of those that it belongs to: a subflow is not told
    by Prefect, and a run without a worker is not either. Prefect is asked every two seconds at most, by a thread: one
    that does not answer within a second is waited for no more, and until it does nobody has cancelled. Once somebody
    has, that stays the answer.
    """
    question = _Question(lambda: _any_cancelled(_present_runs(run_id)))
    return lambda: CANCELLED if question.answer() else None


def _present_runs(run_id: str) -> set[UUID]:
    return set(_ids((run_id, flow_run.id, flow_run.parent_flow_run_id, flow_run.root_flow_run_id)))


class _Question:
    """Whether `ask` has ever said yes; whoever wants to know never waits long."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask, self._clock = ask, SystemClock()
        self._context = copy_context()
        self._asked: float | None = None
        self._yes, self._answered = False, Event()

    def answer(self) -> bool:
        """The last answer; a new one, if it comes within a second and it is time to ask again."""
        now = self._clock.monotonic()
        if self._yes or (self._asked is not None and now - self._asked < _EVERY.total_seconds()):
            return self._yes
        if self._asked is None or self._answered.is_set():
            self._asked = now
            self._answered = Event()
            Thread(target=self._context.copy().run, args=(self._find_out, self._answered), daemon=True).start()
            self._answered.wait(_PATIENCE_SECONDS)
        return self._yes

    def _find_out(self, answered: Event) -> None:
        try:
            self._yes = self._yes or self._ask()
        finally:
            answered.set()


class _Aside:
    """Does things by threads, one after the other: a Prefect that hangs keeps nobody from looking after users."""

    def __init__(self) -> None:
        self._before: Thread | None = None

    def do(self, act: Callable[[], object], patience: float) -> None:
        """Do `act`, and wait so many seconds for it at most. Raises what it has raised by then."""
        before, raised = self._before, list[BaseException]()

        def in_turn() -> None:
            if before is not None:
                before.join()
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - for whoever asked for it
                raised.append(error)

        self._before = Thread(target=copy_context().run, args=(in_turn,), name="prefect", daemon=True)
        self._before.start()
        self._before.join(patience)
        if raised:
            raise raised[0]


_ASIDE: Final = _Aside()


def with_timeout(act: Callable[[], object]) -> None:
    """Do `act`, which asks Prefect, for five seconds at most; what is not done by then goes on beside the caller.

    Raises what it raised by then.
    """
    _ASIDE.do(act, _LONG_PATIENCE_SECONDS)


def name_present_run(name: str) -> None:
    """Give the present flow run a name that tells more than was known when it began; without Prefect do nothing.

    Prefect is waited for a second at most.
    """
    present = _ids((flow_run.id,))

    def rename(client: "SyncPrefectClient") -> None:
        for run in present:
            client.update_flow_run(run, name=name)

    if present:
        _ASIDE.do(lambda: _with_prefect(rename), _PATIENCE_SECONDS)


def show_present_run_as(name: str, message: str) -> None:
    """Show the present flow run, while it runs, under another name of its state; without Prefect do nothing.

    Prefect is waited for a second at most. A run that is being cancelled stays so.
    """
    from prefect.states import Running

    present = _ids((flow_run.id,))

    def show(client: "SyncPrefectClient") -> None:
        for run in present:
            state = client.read_flow_run(run).state
            if state is not None and state.is_running():
                client.set_flow_run_state(run, Running(name=name, message=message), force=True)

    if present:
        _ASIDE.do(lambda: _with_prefect(show), _PATIENCE_SECONDS)


def close_dead_run(run_id: str) -> None:
    """Tell Prefect that a run and its subflows died, if it still shows them as running; without Prefect do nothing.

    Prefect is waited for five seconds at most.
    """
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

    with_timeout(lambda: _with_prefect(close))


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
            found.append(state is not None and _by_a_person(state))

    _with_prefect(ask)
    return any(found)


def _by_a_person(state: "State[Any]") -> bool:
    """A run that was refused or rolled back is of type CANCELLED, too."""
    return state.is_cancelling() or (state.is_cancelled() and state.name not in ENDS)


def is_of_prefect(error: BaseException) -> bool:
    """Whether it is Prefect that failed, and not what it was to run."""
    import httpx
    from prefect.exceptions import PrefectException

    # The latter is what a run that cannot begin ends with.
    return isinstance(error, httpx.HTTPError | PrefectException) or str(error).startswith("Failed to reach API")


def run_is_gone(error: BaseException) -> bool:
    """Whether Prefect answers and does not know the run any more: somebody deleted it, which is no order to end.

    A task run of a flow run that is gone is a conflict (409) to Prefect.
    """
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    refused = isinstance(error, PrefectHTTPStatusError) and error.response.status_code in _GONE
    return refused or isinstance(error, ObjectNotFound)


def _with_prefect(act: Callable[["SyncPrefectClient"], None]) -> None:
    from prefect.client.orchestration import get_client

    try:
        # With settings, even none, it is one of our own: the run's may be closed before a thread comes to ask.
        with get_client(httpx_settings={}, sync_client=True) as client:
            act(client)
    except Exception as error:
        if not (is_of_prefect(error) or isinstance(error, OSError)):
            raise


def _ids(texts: Iterable[object]) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(UUID(str(text)))
        except ValueError:  # begun outside Prefect
            continue
    return found
