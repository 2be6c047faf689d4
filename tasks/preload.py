"""Importing early what training, registering and validating import when they need it."""

from importlib import import_module

_MODULES = (
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "sklearn.compose",
    "sklearn.impute",
    "sklearn.metrics",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "tasks.gate.evaluate",
    "tasks.data_validation.validate",
)


def import_libraries() -> None:
    """Everything heavy that a release needs besides Prefect: some nine seconds. Opens no file and starts no thread."""
    import_module("skops.io")  # first: it looks through every module that is there
    from deployments.registry.mlflow_client import prepare_mlflow
    from tasks.data_validation.validate import warm_up

    prepare_mlflow()
    for name in _MODULES:
        import_module(name)
    warm_up()
