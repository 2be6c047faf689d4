"""A rollback moves users before MLflow is asked for anything that does not matter to them."""

from types import SimpleNamespace
from typing import Any

import pytest

from deployments.errors import RegistryUnreachable
from flows import rollback as flow
from flows.parameters import RollbackRequest
from tasks import rollout_steps as tasks


def test_old_runs_in_mlflow_are_closed_after_the_traffic_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def closing(*_: object) -> Any:
        done.append("MLflow")
        raise RegistryUnreachable("MLflow does not answer")

    def noted(name: str, result: object = None) -> Any:
        return lambda *_, **__: done.append(name) or result

    run = SimpleNamespace(product="flights", run_id="a run", spec=SimpleNamespace(rollout=None))
    monkeypatch.setattr(flow, "open_run", lambda *_, **__: run)
    for name in ("record_asked", "name_run"):
        monkeypatch.setattr(flow, name, lambda *_, **__: None)
    monkeypatch.setattr(flow, "end_under_way", lambda *_: None)
    monkeypatch.setattr(flow, "former_version", lambda *_: 1)
    monkeypatch.setattr(flow, "recover", tasks.recover.fn)
    monkeypatch.setattr(flow, "roll_out", noted("users", "the result"))
    monkeypatch.setattr(tasks.wiring, "doors", lambda _: SimpleNamespace(journal=None))
    monkeypatch.setattr(tasks, "telling_of_queue", lambda _product, _run, doors: doors)
    monkeypatch.setattr(tasks, "settle_before_release", noted("put right"))
    monkeypatch.setattr(tasks, "died_silently", lambda *_: ())
    monkeypatch.setattr(tasks, "close_abandoned_runs", closing)
    assert flow.rollback.fn(RollbackRequest(product="flights")) == "the result"
    assert done == ["put right", "users", "MLflow"]
