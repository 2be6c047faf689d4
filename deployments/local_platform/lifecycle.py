"""`seatrial up` and `seatrial down`: the whole platform on this machine, and nothing left of it."""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from http.client import HTTPException

from filelock import FileLock, Timeout

from deployments.access_control.identities import machine_token
from deployments.clock import Clock, SystemClock
from deployments.errors import Busy, PlatformUnreachable, SeatrialError
from deployments.journals.journal_url import open_journal
from deployments.local_platform import services
from deployments.local_platform.addresses import Addresses, free_port, read_addresses, why_port_unused, write_addresses
from deployments.local_platform.await_ready import answers, runs, wait_until
from deployments.local_platform.gateway import ensure_gateway, is_up
from deployments.local_platform.prefect_deployments import start_deploying
from deployments.local_platform.public_gateway import bring_keys, listens_to_others, public_address
from deployments.local_platform.rollout_processes import end_carriers
from deployments.local_platform.startup_progress import ProductsUp
from deployments.local_platform.work_pool import ensure_work_pool
from deployments.platform_identity import this_place
from deployments.redaction import masked
from deployments.settings import Settings
from deployments.supervision import ProgramReport, ProgramState, Supervisor, UnixConnection

# A machine on which much else goes on takes minutes; a part that ends is told of at once.
_LIMIT = timedelta(minutes=10)
Progress = Callable[[str], None]


def up(settings: Settings, tell: Progress, clock: Clock | None = None) -> Addresses:
    """Start every part that is not up yet, and wait until each answers. A second call finds everything running.

    `tell` is given a line for each thing that was done. Raises `Busy` while another `up` works, `PlatformUnreachable`
    with the log to read when a part does not come up; what did come up stays, so that calling again goes on from there.
    """
    clock = clock or SystemClock()
    settings.private_home()
    try:
        with FileLock(settings.home / "up.lock", timeout=0):
            return _up(settings, tell, clock)
    except Timeout:
        raise Busy(f"another `seatrial up` is at work in {settings.home}: wait for it") from None


def _up(settings: Settings, tell: Progress, clock: Clock) -> Addresses:
    """What users need comes first, then what people look at; the processes that only save time come last."""
    supervisor = ensure_gateway(settings, clock)
    addresses = _choose_ports(settings, supervisor)
    tell(f"gateway       {addresses.url('gateway')}{_instead_of(settings.gateway_port, addresses.gateway)}")
    if (public := public_address(settings)) is not None:
        bring_keys(settings, settings.public_rate)
        tell(f"public        https://{public[0]}:{public[1]}{_unless_there(settings)}")
    products = ProductsUp(supervisor, settings, tell, clock)

    def await_part(part: str, is_up: Callable[[], bool]) -> None:
        def looked() -> bool:
            products.look()
            if supervisor.state(part) is ProgramState.FATAL:
                raise PlatformUnreachable(f"{part} ends whenever it is started; {settings.logs / part}.log says why")
            return is_up()

        wait_until(looked, part, _LIMIT, clock)

    machine_token(settings.keys_folder)
    supervisor.put(services.control_service(settings, addresses))
    _start_pages(settings, supervisor, addresses)
    await_part(services.PREFECT, lambda: _prefect_is_up(supervisor, addresses))
    tell(f"Prefect       {addresses.url('prefect')}{_instead_of(settings.prefect_port, addresses.prefect)}")
    ensure_work_pool(settings, f"{addresses.url('prefect')}/api")
    supervisor.put(services.warm_process(settings, addresses))
    with start_deploying(settings, addresses) as deployed:
        await_part("the deployment of flows", lambda: deployed() is not None)
        first, *more = (deployed() or "").splitlines()
    tell(f"deployments   {first}")
    for line in more:
        tell(f"              {line}")
    supervisor.put(services.prefect_worker(settings, addresses))
    await_part(services.CONTROL, lambda: _control_is_up(supervisor, settings))
    tell(f"Seatrial      {addresses.url('gateway')}/seatrial/")
    tell(f"feedback      {addresses.url('gateway')}/seatrial/feedback")
    if settings.has_own_mlflow:
        await_part(services.MLFLOW, lambda: _mlflow_is_up(supervisor, addresses))
        tell(f"MLflow        {addresses.url('mlflow')}{_instead_of(settings.mlflow_port, addresses.mlflow)}")
    else:
        tell(f"MLflow        {masked(settings.mlflow_uri)}  (your own, by SEATRIAL_TRACKING_URI)")
    products.end()
    return addresses


def _unless_there(settings: Settings) -> str:
    """A gateway that runs is never started anew: users are served."""
    if listens_to_others(settings):
        return ""
    return "  (from the next start on: `seatrial down`, then `seatrial up`; nobody is served in between)"


def down(settings: Settings) -> tuple[str, ...]:
    """End every process of the platform, model servers included; returns their names. Data, models and records stay.

    Model servers come back with the next start of anything here, the platform's own parts only with `up`; rollouts
    under way are carried on then.
    """
    supervisor = Supervisor.of(settings)
    _end_carriers(settings)
    names = tuple(supervisor.states()) if supervisor.running() else ()
    supervisor.shutdown(forget=services.PARTS)
    _end_carriers(settings)  # the watchdog may have sent somebody after the first ones, before it ended itself
    return names


def _end_carriers(settings: Settings) -> None:
    if settings.home.is_dir():
        # An unreadable journal must not keep anything running.
        with suppress(SeatrialError), closing(open_journal(settings.journal_address)) as journal:
            end_carriers(journal, SystemClock().now(), this_place(settings))


def programs(settings: Settings) -> dict[str, ProgramReport]:
    """What supervisord keeps, by name, as it is now; empty when it is not running."""
    supervisor = Supervisor.of(settings)
    return supervisor.reports() if supervisor.running() else {}


def live_addresses(settings: Settings) -> Addresses:
    """Where the parts that answer right now listen; another home's parts on the same ports do not count."""
    known, supervisor = read_addresses(settings), Supervisor.of(settings)
    if not supervisor.running():
        return Addresses(known.host)
    return replace(
        known,
        gateway=known.gateway if is_up(settings, supervisor) else None,
        prefect=known.prefect if _prefect_is_up(supervisor, known) else None,
        mlflow=known.mlflow if _mlflow_is_up(supervisor, known) else None,
    )


def _choose_ports(settings: Settings, supervisor: Supervisor) -> Addresses:
    """A part that runs keeps its port; the ports of the others are theirs again if they are still free."""
    known = read_addresses(settings)

    def port(part: str, before: int | None, wanted: int) -> int | None:
        return before if supervisor.state(part).has_process else free_port(before or wanted, "127.0.0.1")

    own_mlflow = settings.has_own_mlflow
    chosen = replace(
        known,
        prefect=port(services.PREFECT, known.prefect, settings.prefect_port),
        mlflow=port(services.MLFLOW, known.mlflow, settings.mlflow_port) if own_mlflow else None,
    )
    write_addresses(settings, chosen)
    return chosen


def _instead_of(wanted: int, chosen: int | None) -> str:
    return "" if chosen == wanted else f"  (not {wanted}: {why_port_unused(wanted)})"


def _start_pages(settings: Settings, supervisor: Supervisor, addresses: Addresses) -> None:
    supervisor.put(services.prefect_server(settings, addresses))
    if settings.has_own_mlflow:
        supervisor.put(services.mlflow_server(settings, addresses))
    else:
        supervisor.remove(services.MLFLOW)


def _prefect_is_up(supervisor: Supervisor, addresses: Addresses) -> bool:
    return runs(supervisor, services.PREFECT) and answers(f"{addresses.url('prefect')}/api/health")


def _control_is_up(supervisor: Supervisor, settings: Settings) -> bool:
    if not runs(supervisor, services.CONTROL):
        return False
    with closing(UnixConnection(services.control_socket(settings), timeout=2.0)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False


def _mlflow_is_up(supervisor: Supervisor, addresses: Addresses) -> bool:
    return runs(supervisor, services.MLFLOW) and answers(f"{addresses.url('mlflow')}/health")
