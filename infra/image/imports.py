"""Imports what the programs of an image import, while it is built: what cannot be imported ends the build.

Beside that it leaves compiled files of just these modules, which a read-only root cannot keep later.
"""

import sys
from importlib import import_module

_SERVER = (
    "boto3",
    "deployments.registry.storage_initializer",
    "deployments.serving.__main__",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "pyarrow.dataset",
    "s3fs",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "skops.io",
)
_ALL = (
    *_SERVER,
    "deployments.registry.mlflow_server",
    "deployments.targets.kubernetes",
    "flows.entrypoints.cli.main",
    "flows.entrypoints.control_service.main",
    "flows.entrypoints.runner.cluster_watchdog",
    "flows.entrypoints.runner.prefect_server",
    "flows.release",
    "flows.retry",
    "flows.rollback",
    "flows.rollout",
    "flows.submission",
    "flows.steer",
    "kubernetes",
    "mlflow.server.fastapi_app",
    "prefect.cli",
    "prefect.server.api.server",
    "prefect_kubernetes.worker",
    "psycopg2",
    "tasks.preload",
)

if __name__ == "__main__":
    for name in {"server": _SERVER, "all": _ALL}[sys.argv[1]]:
        import_module(name)
    if sys.argv[1] == "all":
        import_module("tasks.preload").import_libraries()
