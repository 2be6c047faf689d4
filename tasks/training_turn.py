"""Turns of training: one run of a product at a time, and so many products at once as a setting says.

One of a product by a lease in the journal, which outlives Prefect and knows of a holder that died. Of all products by
Prefect's own concurrency limit, so that it is seen on Prefect's pages.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Final

from deployments import wiring
from deployments.clock import Clock, SystemClock
from deployments.errors import Busy
from deployments.journals.lease_renewal import Renewals
from deployments.journals.protocol import Journal
from deployments.plurals import counted
from deployments.process_identity import Owner, this_process
from deployments.settings import current
from tasks.operator_log import tell
from tasks.prefect_runs import show_present_run_as

# The name of Prefect's limit.
LIMIT: Final = "seatrial-training"
# Of a holder that died: its slot is another's after this. Prefect takes 60 s or more.
_SLOT: Final = timedelta(minutes=2)
_LEASE: Final = timedelta(seconds=60)
# A training may take days; a process that ends loses the lease whatever this says.
_LONGEST: Final = timedelta(days=365)
_PAUSE: Final = timedelta(seconds=2)
_FIRST_TRY_SECONDS, _TRY_SECONDS = 2.0, 10.0
_KEY: Final = 40


@contextmanager
def training_turn(product: str, clock: Clock | None = None) -> Iterator[ExitStack]:
    """A block in which this run trains: no other one of the product does, and no more products than may.

    Until then it waits, and says so in its log and in the state of its run. Whoever closes what it is given ends the
    turn before the block's end.
    """
    clock = clock or SystemClock()
    with ExitStack() as held:
        held.enter_context(_alone(product, wiring.journal(), clock))
        held.enter_context(_one_of_all(product))
        yield held


@contextmanager
def _alone(product: str, journal: Journal, clock: Clock) -> Iterator[None]:
    """The product's training is this process's own."""
    key, waits = lease_key(product), False
    while True:
        try:
            lease = journal.acquire(key, this_process(), clock.now(), _LEASE)
            break
        except Busy:
            if not waits:
                _say_waiting(product, f"another run that trains {product}{_where(journal.holder(key, clock.now()))}")
            waits = True
            clock.sleep(_PAUSE)
    if waits:
        _say_running()
    renewals = Renewals(journal, clock)
    renewals.keep(lease, _LEASE, _LONGEST)
    try:
        yield
    finally:
        journal.release(lease)


@contextmanager
def _one_of_all(product: str) -> Iterator[None]:
    """A slot of the limit of all products."""
    from prefect.concurrency.sync import concurrency

    at_once = _limit_of_prefect()
    waits = False
    with ExitStack() as slot:
        while True:
            try:
                slot.enter_context(
                    concurrency(
                        LIMIT,
                        timeout_seconds=_TRY_SECONDS if waits else _FIRST_TRY_SECONDS,
                        lease_duration=_SLOT.total_seconds(),
                        strict=True,
                        raise_on_lease_renewal_failure=False,  # a training goes on while Prefect is away
                    )
                )
                break
            except TimeoutError:
                if not waits:
                    _say_waiting(
                        product, f"a turn: {counted(at_once, 'training')} at once by SEATRIAL_TRAININGS_AT_ONCE"
                    )
                waits = True
        if waits:
            _say_running()
        yield


def lease_key(product: str) -> str:
    """The journal's name for the training of a product: no product can be called so."""
    key = f"training:{product}"
    return key if len(key) <= _KEY else f"t:{sha256(product.encode()).hexdigest()[: _KEY - 2]}"


def _where(holder: Owner | None) -> str:
    return f" (process {holder.pid} on {holder.place})" if holder else ""


def _limit_of_prefect() -> int:
    """The limit's size; made, where nobody made it."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    wanted = current().trainings_at_once
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(LIMIT).limit
        except ObjectNotFound:
            pass
        try:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=wanted))
        except ObjectAlreadyExists:
            return client.read_global_concurrency_limit_by_name(LIMIT).limit
    return wanted


def _say_waiting(product: str, what: str) -> None:
    tell("training.waiting", product=product, waits_for=what)
    show_present_run_as("Waiting", f"waits for {what}")


def _say_running() -> None:
    show_present_run_as("Running", "")
