"""The gateway: one Envoy process for all products, told what to do by files alone.

`prepare` writes the first files and gives the command line, `is_alive` asks whether it runs, `EnvoyRouter` changes the
files while it runs, `drain` is called before it is stopped.
Belongs here: what the files say, in which order they are written, what Envoy reports of itself. Does not belong here:
keeping the process alive (local_platform), deciding weights (rollout).
"""

from deployments.routers.envoy.admin import is_alive
from deployments.routers.envoy.bootstrap import prepare
from deployments.routers.envoy.config_files import EnvoyFiles
from deployments.routers.envoy.config_updates import Patience
from deployments.routers.envoy.graceful_drain import drain
from deployments.routers.envoy.public_listener import read_rate, write_certificate, write_keys, write_rates
from deployments.routers.envoy.record_recovery import Witness
from deployments.routers.envoy.router import EnvoyRouter

__all__ = [
    "EnvoyFiles",
    "EnvoyRouter",
    "Patience",
    "Witness",
    "drain",
    "is_alive",
    "prepare",
    "read_rate",
    "write_certificate",
    "write_keys",
    "write_rates",
]
