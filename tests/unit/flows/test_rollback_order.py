"""A rollback moves users before MLflow is asked for anything that does not matter to them."""

from types import SimpleNamespace
from typing import Any

import pytest

from deployments.errors import BadInput, NotFound, RegistryUnreachable
from flows import retry as retry_flow
from flows import rollback as flow
from flows.parameters import RetryRequest, RollbackRequest
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
    monkeypatch.setattr(flow, "off_the_air", lambda _: False)
    monkeypatch.setattr(flow, "recover", tasks.recover.fn)
    monkeypatch.setattr(flow, "roll_out", noted("users", "the result"))
    monkeypatch.setattr(tasks.wiring, "doors", lambda _: SimpleNamespace(journal=None))
    monkeypatch.setattr(tasks, "telling_of_queue", lambda _product, _run, doors: doors)
    monkeypatch.setattr(tasks, "settle_before_release", noted("put right"))
    monkeypatch.setattr(tasks, "died_silently", lambda *_: ())
    monkeypatch.setattr(tasks, "close_abandoned_runs", closing)
    assert flow.rollback.fn(RollbackRequest(product="flights")) == "the result"
    assert done == ["put right", "users", "MLflow"]


@pytest.mark.parametrize(("module", "chooses"), [(flow, "former_version"), (retry_flow, "version_to_retry")])
def test_a_removed_product_stays_off_the_air_where_there_is_no_version_to_bring_back(
    module: Any, chooses: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []

    def nothing(*_: object) -> Any:
        raise NotFound("v1 replaced nobody")

    run = SimpleNamespace(product="flights", run_id="a run", spec=SimpleNamespace(rollout=None))
    monkeypatch.setattr(module, "open_run", lambda *_, **__: run)
    monkeypatch.setattr(module, "record_asked", lambda *_, **__: None)
    monkeypatch.setattr("tasks.decision_log.record", lambda *_, **__: None)
    monkeypatch.setattr(flow, "end_under_way", lambda *_: None)
    monkeypatch.setattr(module, "recover", lambda *_, **__: served.append("the champion"))
    monkeypatch.setattr(module, chooses, nothing)
    for off, expected in ((False, ["the champion"]), (True, [])):
        served.clear()
        monkeypatch.setattr(module, "off_the_air", lambda _, off=off: off)
        asked = RollbackRequest(product="flights") if module is flow else RetryRequest(product="flights")
        with pytest.raises(NotFound):
            getattr(module, module.__name__.rpartition(".")[2]).fn(asked)
        assert served == expected


def test_only_a_product_without_a_route_is_looked_up_as_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = SimpleNamespace(product="flights", spec=SimpleNamespace(rollout=None))

    def seen(route: object, removed: object) -> bool:
        doors = SimpleNamespace(router=SimpleNamespace(read=lambda _: route), journal=None)
        monkeypatch.setattr(tasks.wiring, "doors", lambda _: doors)
        monkeypatch.setattr(tasks, "is_off_the_air", removed)
        return tasks.off_the_air(run)

    def away(*_: object) -> bool:
        raise BadInput("away")

    assert seen(None, lambda *_: True)
    assert not seen(None, away)
    assert not seen("a route", away)
