"""Imports what the image's programs import, while it is built: what cannot be imported ends the build.

Beside that it leaves compiled files of just these modules, which a read-only root cannot keep later.
"""

from importlib import import_module

_MODULES = (
    "boto3",
    "deployments.registry.fetching",
    "deployments.serving.__main__",
    "deployments.targets.kubernetes",
    "flows.entrypoints.cli",
    "flows.entrypoints.control",
    "flows.entrypoints.handing_over",
    "flows.release",
    "flows.retry",
    "flows.rollback",
    "flows.rollout",
    "flows.starting",
    "flows.steer",
    "kubernetes",
    "mlflow.server.fastapi_app",
    "prefect.cli",
    "prefect.server.api.server",
    "prefect_kubernetes.worker",
    "psycopg2",
    "tasks.warming",
)

if __name__ == "__main__":
    for name in _MODULES:
        import_module(name)
    import_module("tasks.warming").import_libraries()
