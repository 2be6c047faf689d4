"""The traffic plane: supervisord and Envoy. It is all that a single release needs; `seatrial up` adds the rest."""

from dataclasses import replace
from datetime import timedelta

from filelock import FileLock

from deployments.clock import Clock, SystemClock
from deployments.errors import PlatformUnreachable
from deployments.local_platform import services
from deployments.local_platform.addresses import free_port, holder_of, is_free, read_addresses, write_addresses
from deployments.local_platform.await_ready import is_there, runs, wait_until
from deployments.local_platform.desired_routing import witness_of
from deployments.local_platform.public_gateway import bring, check_listening, public_address
from deployments.routers.envoy import EnvoyRouter, is_alive, prepare
from deployments.settings import Settings
from deployments.supervision import Supervisor
from deployments.targets.process import fork_server

_LIMIT = timedelta(seconds=30)
_HEALTH = "/seatrial/health"
# So long Envoy may be busy before its silence means anything.
_SILENCE = timedelta(seconds=15)
_POLL = timedelta(milliseconds=200)


def ensure_gateway(settings: Settings, clock: Clock | None = None) -> Supervisor:
    """The supervisor of this home, with the gateway up; starts what is not. Safe for several processes at once.

    The port of an earlier start is taken again if it is still free, so that users' addresses stay good. A gateway that
    runs is never started anew while it lives: raises `PlatformUnreachable` for one that takes users' requests but no
    orders.
    """
    clock = clock or SystemClock()
    settings.private_home()
    supervisor = Supervisor.of(settings)
    with FileLock(settings.home / "gateway.lock", timeout=120):
        servers_begin_with = fork_server(settings)
        supervisor.start(servers_begin_with)
        supervisor.put(servers_begin_with)
        if not (is_up(settings, supervisor) or _comes_to(settings, supervisor, clock)):
            _start(settings, supervisor, clock)
    return supervisor


def is_up(settings: Settings, supervisor: Supervisor) -> bool:
    """Whether this home's own gateway runs and answers at its admin socket.

    Its users' port is not asked: whoever holds all its connections would decide.
    """
    return (
        read_addresses(settings).gateway is not None
        and runs(supervisor, services.GATEWAY)
        and is_alive(settings.run_folder)
    )


def keep_user_log_small(settings: Settings, clock: Clock) -> None:
    """Bounds the gateway's log of users where no rollout reads it: one was paused, or its carrier is away.

    Raises `RouterUnreachable` if the gateway does not answer.
    """
    folder = settings.home.resolve() / "gateway"
    if folder.is_dir():
        EnvoyRouter(folder, settings.run_folder, clock).users.trim(clock)


def _comes_to(settings: Settings, supervisor: Supervisor, clock: Clock) -> bool:
    """Whether a gateway that runs, but is silent, answers after all; False for one that neither answers nor serves."""
    began = clock.monotonic()
    while runs(supervisor, services.GATEWAY) and read_addresses(settings).gateway is not None:
        if is_alive(settings.run_folder):
            return True
        if clock.monotonic() - began > _SILENCE.total_seconds():
            _leave_alone_if_it_serves(settings)
            return False
        clock.sleep(_POLL)
    return False


def _leave_alone_if_it_serves(settings: Settings) -> None:
    if is_there(f"{read_addresses(settings).url('gateway')}{_HEALTH}"):
        raise PlatformUnreachable(
            f"the gateway serves its users, but has not answered at its admin socket in {settings.run_folder} for "
            f"{_SILENCE.total_seconds():g} s, so it takes no orders and is left as it is: see `seatrial logs gateway`; "
            "`seatrial down`, then `seatrial up` starts it anew, during which nobody is served"
        )


def _start(settings: Settings, supervisor: Supervisor, clock: Clock) -> None:
    check_listening(settings)
    bring(settings, clock.now())
    public = public_address(settings)
    if public is not None:
        _check_free(*public)
    supervisor.remove(services.GATEWAY)
    known = read_addresses(settings)
    port = free_port(known.gateway or settings.gateway_port, settings.gateway_host)
    addresses = replace(known, host=settings.gateway_host, gateway=port)
    write_addresses(settings, addresses)
    folder, witness = settings.home.resolve() / "gateway", witness_of(settings, supervisor)
    command = prepare(folder, settings.run_folder, settings.gateway_host, port, witness, public)
    supervisor.put(services.gateway(settings, command))
    wait_until(lambda: is_up(settings, supervisor), services.GATEWAY, _LIMIT, clock)


def _check_free(host: str, port: int) -> None:
    """Others know the address: no other port is taken instead."""
    if not is_free(port, host):
        raise PlatformUnreachable(
            f"port {port} on {host} is taken ({holder_of(port)} has it): set SEATRIAL_PUBLIC_PORT to another"
        )
