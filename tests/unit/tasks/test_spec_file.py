"""A product spec is read strictly, and every mistake is told at once."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.errors import BadInput, BadSpec, NotFound
from tasks.product_spec import Window, as_moment
from tasks.spec_file import find_spec, json_schema, load_product, parse_window
from tests.advice import followed

GOOD: dict[str, Any] = {
    "product": "churn",
    "data": {
        "source": {"path": "churn.csv"},
        "time_column": "at",
        "target": "left",
        "key": ["customer", "at"],
        "window": {"start": "2013-01-01", "end": "2013-03-01"},
        "split": {"evaluation": "14d"},
    },
    "validation": {"suite": "churn.suite.json"},
    "preprocessing": {"numeric": {"columns": ["age", "spend"]}, "categorical": {"columns": ["plan"]}},
    "model": {
        "task": "classification",
        "estimator": "sklearn.linear_model.LogisticRegression",
        "parameters": {"C": 0.5},
    },
    "gate": {
        "thresholds": [{"metric": "roc_auc", "min": 0.6}],
        "against_champion": [{"metric": "log_loss", "margin": 0.01}],
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one field set; a value of ... removes it."""
    document = deepcopy(GOOD)
    *way, last = path.split(".")
    place: Any = document
    for part in way:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def written(folder: Path, document: Any) -> Path:
    path = folder / "churn.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return path


def complaint(folder: Path, document: Any) -> str:
    with pytest.raises(BadSpec) as caught:
        load_product(written(folder, document))
    return str(caught.value)


def test_a_good_spec_is_read_with_its_paths_made_absolute(tmp_path: Path) -> None:
    spec = load_product(written(tmp_path, GOOD))
    assert spec.data.source.path == str(tmp_path / "churn.csv")
    assert spec.validation.suite == str(tmp_path / "churn.suite.json")
    assert spec.data.split.evaluation == timedelta(days=14)
    assert spec.preprocessing.features == ("age", "spend", "plan")


ON_CLUSTER: dict[str, Any] = {"target": "kubernetes", "kubernetes": {"image": "seatrial:1"}}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("colour", "red", "colour: unknown field"),
        ("data.tagret", "left", "data.tagret: unknown field: did you mean 'target'?"),
        ("data.target", ..., "data.target: required, but not given"),
        ("product", "Churn!", "product: string should match pattern"),
        ("product", "v2", "the gateway keeps the path /v2/ for itself"),
        (
            "data.source",
            {"path": "a.csv", "url": "s3://b/c.csv"},
            "data.source: give exactly one of path, url or sql, not path and url",
        ),
        ("data.source", {}, "exactly one of path, url or sql, not none of them"),
        ("data.source", {"sql": "select 1"}, "sql and connection_env go together"),
        ("data.source", {"path": "rows.dat"}, "add format: csv or format: parquet"),
        ("data.split", {"evaluation": "14 days"}, "'14 days' is not a duration"),
        ("data.split", {"evaluation": "0s"}, "greater than"),
        ("data.split", {"share": 1.5}, "data.split.share"),
        ("data.split", {"share": 0.2, "evaluation": "2d"}, "exactly one of evaluation"),
        ("data.window", {"start": "2013-03-01", "end": "2013-01-01"}, "ends (2013-01-01) before it starts"),
        ("data.window", {"start": "2013-13-01"}, "data.window.start"),
        ("data.time_column", ..., "data.window: needs data.time_column"),
        ("data.columns", {"age": {"type": "text"}}, "data.columns.age.type"),
        ("data.columns", {"age": {}}, "data.columns.age.type: required, but not given"),
        (
            "data.columns",
            {"age": {"type": "number", "decimals": ","}},
            "decimals: unknown field: did you mean 'decimal'?",
        ),
        ("data.columns", {"age": {"type": "category"}}, "category, but it stands under preprocessing.numeric"),
        ("data.columns", {"age": {"type": "time"}}, "time, but it stands under preprocessing.numeric"),
        ("data.columns", {"at": {"type": "category"}}, "category, but it is the time column: say type: time"),
        ("data.columns", {"left": {"type": "time"}}, "time, but it is the target"),
        ("data.columns", {"plan": {"type": "category", "decimal": ","}}, "decimal is for type: number"),
        ("data.columns", {"plan": {"type": "number", "true": ["ja"]}}, "true is for type: boolean"),
        ("data.columns", {"plan": {"type": "number", "thousands": "."}}, "thousands cannot be '.'"),
        ("data.columns", {"plan": {"type": "number", "decimal": ",", "thousands": ","}}, "thousands cannot be ','"),
        ("data.columns", {"plan": {"type": "number", "decimal": ",", "thousands": "5"}}, "thousands cannot be '5'"),
        ("data.columns", {"plan": {"type": "boolean", "true": ["x"], "false": ["X"]}}, "words of their own"),
        ("data.columns", {"plan": {"type": "boolean", "true": [True], "false": ["no"]}}, "data.columns.plan.true.0"),
        ("data.source", {"path": "a.csv", "decimal": ";"}, "data.source.decimal"),
        ("data.source", {"path": "a.csv", "encoding": "base64"}, "no encoding is called 'base64'"),
        ("model.trusted_types", ["own.Step", "cProfile.run"], "cProfile.run can be made to run any code"),
        ("preprocessing", {"numeric": {"columns": ["left"]}}, "the target 'left' is among the features"),
        ("preprocessing", {}, "no features"),
        ("preprocessing.categorical.columns", ["age"], "named more than once: age"),
        ("model.factory", "mine.make", "exactly one of estimator or factory"),
        ("model.seed", "7", 'model.seed: input should be a valid integer, not "7"'),
        ("model.seed", -1, "model.seed"),
        ("model.estimator", "LogisticRegression", "model.estimator"),
        ("gate.thresholds", [], "at least one threshold"),
        ("gate.thresholds", [{"metric": "roc_auc"}], "roc_auc: give min or max"),
        (
            "gate.thresholds",
            [{"metric": "rmse", "max": 3.0}],
            "'rmse' is no metric of classification: use one of accuracy",
        ),
        ("gate.thresholds", [{"metric": "roc_auc", "max": 0.9}], "better when higher: give min"),
        ("gate.thresholds", [{"metric": "log_loss", "min": 0.1}], "better when lower: give max"),
        ("gate.against_champion", [{"metric": "roc_auc", "margin": -0.1}], "gate.against_champion.0.margin"),
        ("gate.thresholds", [{"metric": "roc_auc", "min": float("nan")}], "gate.thresholds.0.min"),
        ("rollout", {"replicas": 0}, "rollout.replicas"),
        ("rollout", {"strategy": "yolo"}, "rollout.strategy"),
        ("rollout", {"target": "kubernetes"}, "rollout: target kubernetes needs kubernetes.image"),
        ("rollout", ON_CLUSTER | {"key": {"cookie": "sid"}}, "rollout: key: no Gateway API keeps users with a version"),
        ("rollout", ON_CLUSTER | {"strategy": "shadow"}, "strategy shadow is not to be had without kubernetes.gateway"),
        (
            "rollout",
            ON_CLUSTER | {"strategy": "canary", "replicas": 2},
            "canary.steps: 5 % cannot be made of 2 pods a version without kubernetes.gateway: nearest is 33.33",
        ),
        (
            "rollout",
            {**ON_CLUSTER, "replicas": 2, "kubernetes": {"image": "seatrial:1", "autoscaling": {"most": 4}}},
            "kubernetes.autoscaling: without kubernetes.gateway a share is that of pods",
        ),
        *(
            ("rollout.kubernetes.volumes", [{"mount": place, "secret": "s"}, {"mount": "/a", "claim": "c"}], said)
            for place, said in (
                ("/models", "something is mounted at /models already"),
                ("/models/", "something is mounted at /models already"),
                ("/", "something is mounted at / already"),
                ("/a/", "something is mounted at /a already"),
            )
        ),
        (
            "rollout.kubernetes.environment",
            {"DB_PASSWORD": "hunter2"},
            "environment variable DB_PASSWORD sounds secret",
        ),
        ("rollout", {"ready_timeout": "0s"}, "rollout.ready_timeout"),
        ("rollout.server.log.sample", 1.5, "rollout.server.log.sample"),
        ("rollout.server.log.flush", "10ms", "rollout.server.log.flush"),
        (
            "rollout.server.log.mask",
            ["age", "name"],
            "rollout.server.log.mask.1: 'name' is no feature: use some of age",
        ),
        ("rollout.server.log.folder", "", "rollout.server.log.folder"),
        ("rollout.server.log.folder", "s3://", "names no folder"),
        ("rollout.server.log.folder", "s3://me:hunter2@bucket/log", "may hold no user, password or query"),
        ("rollout.server.log.folder", "s3://bucket/log?token=hunter2", "may hold no user, password or query"),
        ("rollout.server.log.folder", "nowhere://bucket/log", "nobody knows the protocol 'nowhere'"),
        ("rollout.server.log.folder", "gs://bucket/log", "needs a package that is not installed"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_what_would_be_right(
    tmp_path: Path, path: str, value: Any, says: str
) -> None:
    assert says in complaint(tmp_path, changed(path, value))


def test_what_is_said_of_a_column_can_be_followed(tmp_path: Path) -> None:
    wrong: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        (followed("true and false go together: give the words of both"), "plan", {"true": ["ja"]}, {"false": ["nein"]}),
        (followed("is none of a date: write it as strptime has it"), "at", {"format": "DD.MM"}, {"format": "%d.%m.%Y"}),
    ]
    for said, name, first, second in wrong:
        column = {"type": "time" if name == "at" else "boolean"} | first
        assert said in complaint(tmp_path, changed("data.columns", {name: column}))
        assert load_product(written(tmp_path, changed("data.columns", {name: column | second})))
    said = followed("no encoding is called ")
    assert said in complaint(tmp_path, changed("data.source", {"path": "a.csv", "encoding": "latin-99"}))
    assert load_product(written(tmp_path, changed("data.source", {"path": "a.csv", "encoding": "latin-1"})))


def test_points_between_thousands_go_with_the_decimal_comma_of_the_source_or_of_the_column(tmp_path: Path) -> None:
    points = {"age": {"type": "number", "thousands": "."}}
    said = complaint(tmp_path, changed("data.columns", points))
    assert "the decimal sign of the source: say decimal as well" in said
    own = {"age": points["age"] | {"decimal": ","}}
    assert load_product(written(tmp_path, changed("data.columns", own))).data.columns["age"].thousands == "."
    of_the_source = changed("data.columns", points)
    of_the_source["data"]["source"]["decimal"] = ","
    assert load_product(written(tmp_path, of_the_source)).data.columns["age"].thousands == "."


def test_a_regression_has_no_probabilities(tmp_path: Path) -> None:
    document = changed("model.task", "regression")
    document["model"]["output"] = "probability"
    assert "a regression has no probabilities" in complaint(tmp_path, document)


def test_all_mistakes_are_told_at_once_across_sections(tmp_path: Path) -> None:
    document = changed("model.seed", "seven")
    document["data"]["tagret"] = "x"
    document["rollout"] = {"replicas": 0}
    document["gate"]["thresholds"][0]["metric"] = "mse"
    document["model"].pop("task")
    told = complaint(tmp_path, document)
    for place in ("model.seed", "data.tagret", "rollout.replicas", "model.task"):
        assert place in told
    assert told.startswith(f"{tmp_path / 'churn.yaml'}: 4 problems")


def test_a_combination_is_refused_even_when_another_section_is_wrong(tmp_path: Path) -> None:
    document = changed("rollout", {"replicas": 0})
    document["preprocessing"]["numeric"]["columns"] = ["left"]
    told = complaint(tmp_path, document)
    assert "rollout.replicas" in told
    assert "the target 'left'" in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a mapping"),
        ("- a\n- b\n", "must be a mapping"),
        ("product: [", "is not YAML"),
        ("product: a\nproduct: b\n", "'product' is given twice"),
    ],
)
def test_text_that_is_no_spec_is_refused(tmp_path: Path, text: str, says: str) -> None:
    assert says in complaint(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_bytes(b"product: \xff\xfe\n")
    with pytest.raises(BadSpec, match="not UTF-8"):
        load_product(tmp_path / "churn.yaml")


def test_a_missing_spec_is_told_with_those_that_exist(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    with pytest.raises(NotFound, match="there: churn"):
        find_spec("chrun", tmp_path)
    with pytest.raises(NotFound, match="nowhere"):
        find_spec(str(tmp_path / "nowhere.yaml"), tmp_path)
    assert find_spec("churn", tmp_path) == tmp_path / "churn.yaml"


def test_a_spec_in_a_mounted_config_map_lies_where_it_is_seen(tmp_path: Path) -> None:
    """The kubelet links each file to a folder of the moment, so that all of them change at once."""
    moment = tmp_path / "specs" / "..2026_11_30"
    moment.mkdir(parents=True)
    written(moment, GOOD)
    (tmp_path / "specs" / "..data").symlink_to(moment.name)
    (tmp_path / "specs" / "churn.yaml").symlink_to("..data/churn.yaml")
    for asked in ("churn", str(tmp_path / "specs" / "churn.yaml")):
        assert find_spec(asked, tmp_path / "specs") == tmp_path / "specs" / "churn.yaml"


def test_a_link_to_a_spec_of_another_folder_leads_there(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "specs").mkdir()
    written(tmp_path / "theirs", GOOD)
    (tmp_path / "specs" / "churn.yaml").symlink_to("../theirs/churn.yaml")
    assert find_spec("churn", tmp_path / "specs") == tmp_path / "theirs" / "churn.yaml"


def test_the_published_schema_is_the_present_one() -> None:
    published = Path(__file__).parents[3] / "docs" / "spec.schema.json"
    assert json.loads(published.read_text()) == json_schema(), "run: seatrial schema > docs/spec.schema.json"


@pytest.mark.parametrize("name", ["flights", "bikeshare"])
def test_the_shipped_specs_are_well_formed(name: str) -> None:
    assert load_product(Path(__file__).parents[3] / "specs" / f"{name}.yaml").product == name


def test_a_date_is_midnight_utc() -> None:
    assert as_moment(datetime(2013, 1, 1).date()) == datetime(2013, 1, 1, tzinfo=UTC)  # noqa: DTZ001 - a date is wanted
    assert as_moment(datetime(2013, 1, 1)) == datetime(2013, 1, 1, tzinfo=UTC)  # noqa: DTZ001 - naive on purpose


@pytest.mark.parametrize(
    ("rollout", "problem"),
    [({}, False), (ON_CLUSTER, True)],
    ids=["here", "in a cluster"],
)
def test_a_name_that_is_no_label_is_refused_where_it_must_be_one(
    tmp_path: Path, rollout: dict[str, Any], problem: bool
) -> None:
    document = {**GOOD, "product": "churn-", "rollout": rollout}
    if problem:
        assert "product: 'churn-' cannot be a label in a cluster" in complaint(tmp_path, document)
    else:
        assert load_product(written(tmp_path, document)).product == "churn-"


@pytest.mark.parametrize(
    "rollout",
    [
        {"strategy": "blue_green", "replicas": 2},
        {"strategy": "rolling", "replicas": 1},
        {"strategy": "canary", "replicas": 2, "gateway": {"name": "public"}},
    ],
    ids=str,
)
def test_pods_follow_their_load_where_no_share_is_made_of_them(tmp_path: Path, rollout: dict[str, Any]) -> None:
    cluster = {"image": "seatrial:1", "autoscaling": {"most": 4}, "gateway": rollout.pop("gateway", None)}
    load_product(written(tmp_path, {**GOOD, "rollout": {**ON_CLUSTER, **rollout, "kubernetes": cluster}}))


def test_a_window_goes_back_from_the_time_of_a_run() -> None:
    run_time = datetime(2026, 12, 1, 2, tzinfo=UTC)
    window = parse_window("-60d..-1d", run_time)
    assert (window.start, window.end) == (run_time - timedelta(days=60), run_time - timedelta(days=1))
    assert parse_window("-36h..", run_time) == Window(start=run_time - timedelta(hours=36))
    with pytest.raises(BadInput, match="ends before it starts"):
        parse_window("-1d..-60d", run_time)


def test_a_schedule_with_a_window_needs_a_time_column(tmp_path: Path) -> None:
    document = changed("data.time_column", None)
    document["schedule"] = {"cron": "0 3 * * *", "window": "-60d.."}
    assert "schedule.window: needs data.time_column" in complaint(tmp_path, document)
