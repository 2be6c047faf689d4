"""What the rooms of the control service share."""

from collections.abc import Callable
from dataclasses import dataclass

from deployments.access_control.identities import Identities
from deployments.clock import Clock
from deployments.journals.protocol import Journal
from deployments.prefect_api import PrefectApi
from deployments.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """Doors are opened by whoever needs them first, so that what stands behind one may come up later than the service.

    Unless it is `behind_gateway` of this machine, nobody counts as local.
    """

    settings: Settings
    clock: Clock
    open_journal: Callable[[], Journal]
    open_prefect: Callable[[], PrefectApi]
    identities: Identities
    behind_gateway: bool
