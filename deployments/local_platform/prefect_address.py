"""Where Prefect's API is, and who asks there, for processes that are too small to import Prefect."""

import os
from functools import cache

from deployments.errors import PlatformUnreachable
from deployments.local_platform.addresses import read_addresses
from deployments.prefect_api import PrefectApi
from deployments.settings import Settings
from deployments.web_login.password import USER, drawn_password


def prefect_rest(settings: Settings) -> PrefectApi:
    """The Prefect that PREFECT_API_URL names: this platform's, in a cluster the chart's, or another one.

    One client for the life of the process. The platform's password is shown to its own server alone; another one gets
    what PREFECT_API_AUTH_STRING says. Raises `PlatformUnreachable` where there is none yet.
    """
    if not (address := os.environ.get("PREFECT_API_URL")):
        raise PlatformUnreachable("there is no Prefect server yet: `seatrial up` starts one")
    user, given, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    if given:
        return _client(address, (user, password))
    is_own = address == f"{read_addresses(settings).url('prefect')}/api"
    return _client(address, (USER, drawn_password(settings.keys_folder)) if is_own else None)


@cache
def _client(address: str, login: tuple[str, str] | None) -> PrefectApi:
    return PrefectApi(address, login)
