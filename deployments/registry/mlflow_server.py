"""`python -m deployments.registry.mlflow_server`: MLflow's pages and API, behind the door of the platform.

As `mlflow server` with one worker, but in one process, for MLflow's own commands take no application from elsewhere.
Its database is told by MLFLOW_BACKEND_STORE_URI, which may hold a password.
"""

import argparse
import base64
import os
import secrets
import sys
import uuid
from collections.abc import Sequence

from deployments.key_files import key
from deployments.settings import current
from deployments.web_login.web_server import Place, add_place, behind_login, place_of, serve

PART = "mlflow"
_OPEN = ("/health",)
_WEBHOOKS = "mlflow-webhooks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM; the exit code."""
    options, place = _parse(arguments)
    uri = os.environ.get("MLFLOW_BACKEND_STORE_URI") or current().mlflow_uri
    _tell_mlflow(uri, options)
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(uri, uri, options.default_artifact_root or "mlflow-artifacts:/")
    from mlflow.server.fastapi_app import app

    door = behind_login(app, PART, current().keys_folder, place.known_as(), open_paths=_OPEN)
    serve(door, host=place.host, port=place.port)
    return 0


def _tell_mlflow(uri: str, options: argparse.Namespace) -> None:
    """What `mlflow server` tells its workers: they hear nothing but their environment, some of it while imported."""
    os.environ.update(
        {
            "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
            "_MLFLOW_IN_JOB_EXECUTOR": "false",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_SERVER_ALLOWED_HOSTS": "*",  # the door has asked for the name
            # Secrets of its webhooks lie in its database; without a key of ours each start would draw another one.
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": key(current().keys_folder, _WEBHOOKS, _fernet_key).decode(),
        }
    )
    from mlflow.server import constants

    told = {
        constants.BACKEND_STORE_URI_ENV_VAR: uri,
        constants.REGISTRY_STORE_URI_ENV_VAR: uri,
        constants.ARTIFACT_ROOT_ENV_VAR: options.default_artifact_root or "mlflow-artifacts:/",
    }
    if options.artifacts_destination:
        told[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
        told[constants.ARTIFACTS_DESTINATION_ENV_VAR] = options.artifacts_destination
    os.environ.update(told)


def _fernet_key() -> bytes:
    return base64.urlsafe_b64encode(secrets.token_bytes(32))


def _parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, Place]:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.registry.mlflow_server", description="MLflow behind a door."
    )
    add_place(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--default-artifact-root", help="where clients put artifacts by themselves")
    where.add_argument("--artifacts-destination", help="where the server puts artifacts that it is sent")
    options = parser.parse_args(arguments)
    return options, place_of(options)


if __name__ == "__main__":
    sys.exit(main())
