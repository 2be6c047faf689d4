"""What hides a product in MLflow, undone: a model that was renamed, an experiment or a run that was deleted."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from deployments.errors import NotFound
from deployments.registry.mlflow_client import translated_errors


def undelete(client: Any, uri: str, product: str, runs: Collection[str], *, named: bool) -> Iterator[str]:
    """A sentence for each thing that is undone, of versions that come of `runs`; `named`: the model has its name."""
    steps = [] if named else [_name_back(client, uri, product, runs)]
    steps += [_experiment_back(client, product), *(_run_back(client, uri, run) for run in runs)]
    return (done for done in steps if done)


def _name_back(client: Any, uri: str, product: str, runs: Collection[str]) -> str | None:
    names = {raw.name for run in runs for raw in client.search_model_versions(f"run_id = '{run}'")}
    if len(names) != 1:
        return None
    (name,) = names
    with suppress(NotFound), translated_errors(uri):
        # Left by a release since then, without any version.
        client.delete_registered_model(product)
    client.rename_registered_model(name, product)
    return f"the model {name} is called {product} again"


def _experiment_back(client: Any, product: str) -> str | None:
    experiment = client.get_experiment_by_name(product)
    if experiment is None or experiment.lifecycle_stage == "active":
        return None
    client.restore_experiment(experiment.experiment_id)
    return f"the experiment {product} is restored"


def _run_back(client: Any, uri: str, run: str) -> str | None:
    with suppress(NotFound), translated_errors(uri):
        if client.get_run(run).info.lifecycle_stage != "active":
            client.restore_run(run)
            return f"the run {run} is restored"
    return None
