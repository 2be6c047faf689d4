"""What is said of a spec that is wrong mends it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.errors import BadSpec, NotFound
from tasks.spec_file import find_spec, load_product
from tests.advice import followed
from tests.unit.flows.conftest import project


def put(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set a field of a document; None removes it."""

    def change(document: dict[str, Any]) -> None:
        *sections, name = path.split(".")
        for section in sections:
            document = document.setdefault(section, {})
        if value is None:
            document.pop(name, None)
        else:
            document[name] = value

    return change


MAE = {"thresholds": [{"metric": "mae", "max": 3}]}
CLUSTER: dict[str, object] = {"rollout.target": "kubernetes", "rollout.kubernetes.image": "i"}


def analysis(**rule: object) -> dict[str, object]:
    """One metric of a canary."""
    return {"rollout.analysis": {"metrics": [rule]}}


def gateway(**more: object) -> dict[str, object]:
    return {"rollout.kubernetes.gateway": {"name": "g", **more}}


def scaled() -> dict[str, object]:
    return {"rollout.kubernetes.autoscaling": {"most": 4}}


def counted(query: str) -> dict[str, object]:
    """A Gateway whose own counters are read."""
    metrics = {"requests": query, "errors": "b{x='$service'}"}
    return {**gateway(metrics=metrics), "rollout.kubernetes.prometheus": "http://p:9090"}


# A mistake in a spec; what is said of it; and what follows the advice. None removes a field.
MISTAKES: list[tuple[dict[str, object], str, dict[str, object]]] = [
    ({"rollout.strategy": "canari"}, "canary", {"rollout.strategy": "canary"}),
    ({"rollout.ready_timeout": "soon"}, "write a number and one of ms, s, m", {"rollout.ready_timeout": "30s"}),
    ({"rollout.ready_timeout": "99999999w"}, "write less", {"rollout.ready_timeout": "1h"}),
    (
        {"rollout.canary": {"steps": [10, 100]}},
        followed("the last weight is 100: leave it out"),
        {"rollout.canary": {"steps": [10]}},
    ),
    (
        {"rollout.ab": {"match": {"value": "a"}}},
        followed("give exactly one of header or cookie", "deployments/spec/strategies.py"),
        {"rollout.ab": {"match": {"value": "a", "header": "x-a"}}},
    ),
    (
        {"rollout.key": {"header": "x-user", "cookie": "user"}},
        followed("give exactly one of header or cookie", "deployments/spec/server.py"),
        {"rollout.key": {"header": "x-user"}},
    ),
    (
        analysis(metric="error_rate"),
        followed("give one, or it cannot decide anything"),
        analysis(metric="error_rate", margin=0.01),
    ),
    (
        analysis(metric="error_rate", limit=5),
        followed("write one below 1, such as 0.1"),
        analysis(metric="error_rate", limit=0.1),
    ),
    (
        analysis(metric="error_rate", margin=0, prove=True),
        followed("allow a little, such as 0.01"),
        analysis(metric="error_rate", margin=0.01),
    ),
    (
        analysis(metric="error_rate", margin=1.0),
        followed("allows everything: write one below "),
        analysis(metric="error_rate", margin=0.5),
    ),
    (
        analysis(metric="feedback.clicks", margin=0.1, range=[1, 0]),
        followed("give the smallest value first"),
        analysis(metric="feedback.clicks", margin=0.1, range=[0, 1]),
    ),
    (
        {"product": "seatrial"},
        followed("give the product another name", "tasks/product_spec.py"),
        {"product": "flights"},
    ),
    (
        {"execution.address": "tcp://a:1"},
        followed("say backend: dask or backend: ray, or leave it out"),
        {"execution": None},
    ),
    (
        {"execution": {"backend": "dask", "address": "a:1"}},
        followed("address must be that of a "),
        {"execution": {"backend": "dask", "address": "tcp://HOST:8786"}},
    ),
    (
        {"execution": {"backend": "dask", "address": "tcp://a:1", "jobs": 1}},
        followed("give 2 or more, or use backend: local"),
        {"execution": {"backend": "dask", "address": "tcp://a:1", "jobs": 2}},
    ),
    (
        {"data.source": {"path": "a.csv", "url": "s3://b"}},
        followed("give exactly one of path, url or sql, not "),
        {"data.source": {"path": "a.csv"}},
    ),
    (
        {"data.source": {"path": "s3://a/b.csv"}},
        followed("is none: write url: "),
        {"data.source": {"url": "s3://a/b.csv"}},
    ),
    (
        {"data.source": {"path": "rows"}},
        followed("add format: csv or format: parquet"),
        {"data.source": {"path": "rows", "format": "csv"}},
    ),
    (
        {"data.window": {"start": "2013-01-01", "last": "30d"}},
        followed("give start or last, not both"),
        {"data.window": {"last": "30d"}},
    ),
    (
        {"data.split": {"evaluation": "14d", "share": 0.2}},
        followed("give exactly one of evaluation (a duration) or share (of the rows)"),
        {"data.split": {"share": 0.2}},
    ),
    (
        {"data.time_column": None, "data.window": None, "data.key": None},
        followed("use data.split.share for rows without a time"),
        {"data.time_column": None, "data.window": None, "data.key": None, "data.split": {"share": 0.2}},
    ),
    (
        {"preprocessing": {}},
        followed("no features: name columns under numeric or categorical"),
        {"preprocessing": {"numeric": {"columns": ["hour"]}}},
    ),
    (
        {"model.factory": "mine.make"},
        followed("give exactly one of estimator or factory"),
        {"model.factory": "mine.make", "model.estimator": None},
    ),
    (
        {"model.task": "regression", "gate": MAE},
        followed("a regression has no probabilities: use output: prediction"),
        {"model.task": "regression", "gate": MAE, "model.output": "prediction"},
    ),
    (
        {"gate.thresholds": [{"metric": "roc_auc"}]},
        followed("give min or max, else nothing is asked"),
        {"gate.thresholds": [{"metric": "roc_auc", "min": 0.6}]},
    ),
    (
        {"gate.thresholds": []},
        followed("give at least one threshold"),
        {"gate.thresholds": [{"metric": "roc_auc", "min": 0.6}]},
    ),
    (
        {"gate.thresholds": [{"metric": "auc", "min": 0.6}]},
        followed("is no metric of "),
        {"gate.thresholds": [{"metric": "roc_auc", "min": 0.6}]},
    ),
    (
        {"gate.thresholds": [{"metric": "roc_auc", "max": 0.6}]},
        followed("is better when higher: give min"),
        {"gate.thresholds": [{"metric": "roc_auc", "min": 0.5, "max": 0.6}]},
    ),
    (
        {"gate.thresholds": [{"metric": "log_loss", "min": 0.6}]},
        followed("is better when lower: give max"),
        {"gate.thresholds": [{"metric": "log_loss", "min": 0.5, "max": 0.6}]},
    ),
    (
        {"rollout.server": {"log": {"mask": ["price"]}}},
        followed("is no feature: use some of "),
        {"rollout.server": {"log": {"mask": ["hour"]}}},
    ),
    (
        {**CLUSTER, "rollout.key": {"header": "x-user"}},
        followed("leave key out", "tasks/spec_file.py"),
        CLUSTER,
    ),
    (
        {**CLUSTER, "rollout.strategy": "shadow"},
        followed("is not to be had "),
        {**CLUSTER, "rollout.strategy": "shadow", **gateway()},
    ),
    (
        {**CLUSTER, "rollout.strategy": "canary", "rollout.canary": {"steps": [50]}, **scaled()},
        followed("name a Gateway, leave autoscaling out, or use strategy blue_green"),
        {**CLUSTER, "rollout.strategy": "blue_green", **scaled()},
    ),
    (
        {**CLUSTER, "rollout.strategy": "canary", "rollout.canary": {"steps": [50]}, **scaled()},
        "name a Gateway, leave autoscaling out, or use strategy blue_green",
        {**CLUSTER, "rollout.strategy": "canary", **scaled(), **gateway()},
    ),
    (
        {**CLUSTER, **gateway(metrics={"requests": "a{x='$service'}", "errors": "b{x='$service'}"})},
        followed("give its address in prometheus"),
        {
            **CLUSTER,
            **gateway(metrics={"requests": "a{x='$service'}", "errors": "b{x='$service'}"}),
            "rollout.kubernetes.prometheus": "http://p:9090",
        },
    ),
    (
        {**CLUSTER, **counted("a{x='$pod'}")},
        followed("which stands for nothing: use "),
        {**CLUSTER, **counted("a{x='$service'}")},
    ),
    (
        {**CLUSTER, **counted("a")},
        followed("is the same for all versions: name $service or $version in it"),
        {**CLUSTER, **counted("a{x='$version'}")},
    ),
    (
        {**CLUSTER, "rollout.kubernetes.volumes": [{"claim": "c", "mount": "/models"}]},
        followed("already: give the volume another place"),
        {**CLUSTER, "rollout.kubernetes.volumes": [{"claim": "c", "mount": "/data"}]},
    ),
]


@pytest.mark.parametrize(("wrong", "told", "right"), MISTAKES, ids=[told for _, told, _ in MISTAKES])
def test_what_is_said_of_a_spec_mends_it(
    tmp_path: Path, wrong: dict[str, object], told: str, right: dict[str, object]
) -> None:
    file = project(tmp_path) / "specs" / "flights.yaml"
    good = yaml.safe_load(file.read_text())

    def written(changes: dict[str, object]) -> Path:
        document = yaml.safe_load(yaml.safe_dump(good))
        for path, value in changes.items():
            put(path, value)(document)
        file.write_text(yaml.safe_dump(document))
        return file

    with pytest.raises(BadSpec) as error:
        load_product(written(wrong))
    assert told in str(error.value)
    load_product(written(right))


def test_a_spec_that_is_not_there_is_found_among_those_that_are(tmp_path: Path) -> None:
    folder = project(tmp_path) / "specs"
    for wrong, told in (
        ("flihgts", followed("give one of these, or a path to a YAML file")),
        (str(folder / "flihgts.yaml"), "no spec at "),
    ):
        with pytest.raises(NotFound) as error:
            find_spec(wrong, folder)
        assert told in str(error.value)
    assert find_spec("flights", folder) == find_spec(str(folder / "flights.yaml"), folder)
    with pytest.raises(BadSpec) as directory:
        load_product(folder)
    assert followed("is a folder: give the YAML file itself") in str(directory.value)
    load_product(folder / "flights.yaml")
