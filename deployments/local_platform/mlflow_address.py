"""Where this platform's MLflow answers, and as whom it is asked."""

import os

from deployments.errors import RegistryUnreachable
from deployments.local_platform.addresses import read_addresses
from deployments.registry.mlflow_rest import MLflowRest
from deployments.settings import Settings
from deployments.web_login.password import USER, known_password


def mlflow_rest(settings: Settings) -> MLflowRest:
    """The platform's MLflow server, or the one that SEATRIAL_TRACKING_URI names, by the account of the environment.

    Raises `RegistryUnreachable` where none was started.
    """
    if not settings.has_own_mlflow:
        user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        return MLflowRest(settings.mlflow_uri, (user, password) if user else None)
    address = read_addresses(settings).url("mlflow")
    if address is None:
        raise RegistryUnreachable("MLflow was not started: `seatrial up` starts it")
    return MLflowRest(address, (USER, known_password(settings.keys_folder)))
