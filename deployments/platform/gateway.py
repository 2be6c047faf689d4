"""The traffic plane: supervisord and Envoy. It is all that a single release needs; `seatrial up` adds the rest."""

from dataclasses import replace
from datetime import timedelta

from filelock import FileLock

from deployments.clock import Clock, SystemClock
from deployments.platform import services
from deployments.platform.addresses import Addresses, free_port, read_addresses, write_addresses
from deployments.platform.health import answers, runs, wait_until
from deployments.platform.routings import witness_of
from deployments.routers.envoy import prepare
from deployments.settings import Settings
from deployments.supervision import Supervisor

_LIMIT = timedelta(seconds=30)
_HEALTH = "/seatrial/health"


def ensure_gateway(settings: Settings, clock: Clock | None = None) -> Supervisor:
    """The supervisor of this home, with the gateway up; starts what is not. Safe for several processes at once.

    The port of an earlier start is taken again if it is still free, so that users' addresses stay good.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    supervisor = Supervisor.of(settings)
    with FileLock(settings.home / "gateway.lock", timeout=120):
        supervisor.start()
        if not is_up(supervisor, read_addresses(settings)):
            _start(settings, supervisor, clock or SystemClock())
    return supervisor


def is_up(supervisor: Supervisor, addresses: Addresses) -> bool:
    """Whether this home's own gateway answers; another home's on the same port does not count."""
    return (
        addresses.gateway is not None
        and runs(supervisor, services.GATEWAY)
        and answers(f"{addresses.url('gateway')}{_HEALTH}")
    )


def _start(settings: Settings, supervisor: Supervisor, clock: Clock) -> None:
    supervisor.remove(services.GATEWAY)
    known = read_addresses(settings)
    port = free_port(known.gateway or settings.gateway_port, settings.gateway_host)
    addresses = replace(known, host=settings.gateway_host, gateway=port)
    write_addresses(settings, addresses)
    folder, witness = settings.home.resolve() / "gateway", witness_of(settings, supervisor)
    command = prepare(folder, settings.run_folder, settings.gateway_host, port, witness)
    supervisor.put(services.gateway(settings, command))
    wait_until(lambda: is_up(supervisor, addresses), services.GATEWAY, _LIMIT, clock)
