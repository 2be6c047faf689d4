"""The gateway: one Envoy process for all products, told what to do by files alone.

`prepare` writes the first files and gives the command line, `is_alive` asks whether it runs, `EnvoyRouter` changes the
files while it runs, `drain` is called before it is stopped.
Belongs here: what the files say, in which order they are written, what Envoy reports of itself. Does not belong here:
keeping the process alive (platform), deciding weights (rollout).
"""

from deployments.routers.envoy.admin import is_alive
from deployments.routers.envoy.draining import drain
from deployments.routers.envoy.prepare import prepare
from deployments.routers.envoy.publishing import Patience
from deployments.routers.envoy.rebuild import Witness
from deployments.routers.envoy.router import EnvoyRouter

__all__ = ["EnvoyRouter", "Patience", "Witness", "drain", "is_alive", "prepare"]
