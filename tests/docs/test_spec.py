"""What docs/spec.md claims of a spec, held against the reader of specs."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from deployments.durations import in_words
from deployments.spec import RolloutSection
from tasks.data_validation.declared_types import read_as_declared
from tasks.data_validation.findings import Severity
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.gate.metrics import Direction, direction_of, metrics_of
from tasks.problem_types import TaskKind
from tasks.spec_file import load_product
from tests.docs.claims import claim
from tests.docs.pages import ROOT, blocks
from tests.unit.flows.conftest import Seatrial
from tests.unit.tasks.test_spec_file import GOOD, changed, complaint, written


@claim(
    "docs/spec.md",
    "Unknown fields are refused, with the nearest known name.",
    "A key given twice is refused.",
    'Values are not converted: `"2"` is not a number.',
)
def test_a_spec_is_read_strictly(tmp_path: Path) -> None:
    assert "did you mean 'product'?" in complaint(tmp_path, changed("produkt", "shop"))
    twice = json.dumps(GOOD).replace('{"product"', '{"product": "a", "product"', 1)
    assert "twice" in complaint(tmp_path, twice)
    assert "model.seed" in complaint(tmp_path, changed("model.seed", "2"))


@claim(
    "docs/spec.md",
    "Numbers are those of YAML 1.2: `1e-3` is a number, `010` and `1:30` are text.",
    "YAML takes `on`, `no` and `null` without quotes for no text: a column of that name needs them.",
)
def test_numbers_and_words_are_those_of_yaml(tmp_path: Path) -> None:
    text = written(tmp_path, GOOD).read_text()
    for typed, meant in (("1e-3", 0.001), ("010", "010"), ("1:30", "1:30")):
        spec = load_product(written(tmp_path, text.replace("C: 0.5", f"C: {typed}")))
        assert spec.model.parameters["C"] == meant
    for word in ("on", "no", "null"):
        assert complaint(tmp_path, text.replace("target: left", f"target: {word}"))
        assert load_product(written(tmp_path, text.replace("target: left", f"target: '{word}'"))).data.target == word


@claim("docs/spec.md", "Durations are a number and a unit: `250ms`, `30s`, `5m`, `2h`, `14d`, `8w`.")
def test_durations_are_a_number_and_a_unit() -> None:
    for typed, seconds in {"250ms": 0.25, "30s": 30, "5m": 300, "2h": 7200, "14d": 1_209_600, "8w": 4_838_400}.items():
        assert RolloutSection.model_validate({"bake": typed}).bake.total_seconds() == seconds
    assert in_words(RolloutSection().bake) == "5 min"


@claim("docs/spec.md", "Relative paths count from the folder of the spec.")
def test_relative_paths_count_from_the_spec(tmp_path: Path) -> None:
    spec = load_product(written(tmp_path, changed("data.source.path", "../rows/churn.csv")))
    assert spec.data.source.path == str(tmp_path.parent / "rows" / "churn.csv")


@claim(
    "docs/spec.md",
    "`class_weight` names classes as you would: `class_weight: {0: 1.0, 1: 5.0}`, `{false: 1.0, true: 5.0}`, "
    "`{late: 2.0, on time: 1.0}`.",
)
@pytest.mark.parametrize("typed", ["{0: 1.0, 1: 5.0}", "{false: 1.0, true: 5.0}", "{late: 2.0, on time: 1.0}"])
def test_classes_are_named_as_one_would(tmp_path: Path, typed: str) -> None:
    text = written(tmp_path, GOOD).read_text()
    spec = load_product(written(tmp_path, text.replace("C: 0.5", f"class_weight: {typed}")))
    weights: Any = spec.model.parameters["class_weight"]
    assert len(weights) == 2
    assert set(weights.values()) <= {1.0, 2.0, 5.0}


@claim(
    "docs/spec.md",
    "Metrics of a classification: `accuracy`, `precision`, `recall`, `f1`, `roc_auc`, `pr_auc` (higher is better), "
    "`log_loss`, `brier` (lower is better). Of a regression: `mse`, `rmse`, `mae`, `median_ae` (lower), `r2` (higher).",
)
def test_the_metrics_of_the_gate_are_those_of_the_page() -> None:
    first, second = (metrics_of(kind) for kind in (TaskKind.CLASSIFICATION, TaskKind.REGRESSION))
    assert first == ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier")
    assert second == ("mse", "rmse", "mae", "median_ae", "r2")
    lower = {name for name in (*first, *second) if direction_of(name) is Direction.LOWER}
    assert lower == {"log_loss", "brier", "mse", "rmse", "mae", "median_ae"}


@claim(
    "docs/spec.md",
    "What is declared holds for every source. A value that cannot be read so is a row of the validation report, with "
    "its column, how many there are, and up to three of them with their rows; it refuses the release if the spec uses "
    "the column, and is a warning if not:",
)
def test_the_columns_of_the_page_are_read_as_it_says(tmp_path: Path) -> None:
    (shown,) = (block.text for block in blocks("docs/spec.md") if block.heading == "What a column is")
    for name in ("data", "specs"):
        (tmp_path / name).mkdir()
    used = {"numeric": {"columns": ["price"]}, "categorical": {"columns": ["zip", "open", "grade"]}}
    document = yaml.safe_dump(
        {**GOOD, "preprocessing": used, "data": yaml.safe_load(shown)["data"] | {"target": "left"}}
    )
    spec = load_product(written(tmp_path / "specs", document))

    def taken(*rows: str) -> pd.DataFrame:
        table = "\n".join(["zip;price;open;grade;left", *rows, ""])
        (tmp_path / "data" / "shop.csv").write_bytes(table.encode("latin-1"))
        return load_snapshot(take_snapshot(spec, tmp_path / "snapshots"))

    frame = taken('01067;"1.234,50";ja;NA;1', "1067;0,5;nein;B;0")
    assert frame["zip"].nunique() == 2  # 01067 is not 1067
    assert list(frame["price"]) == [1234.5, 0.5]
    assert [str(value).lower() for value in frame["open"]] == ["true", "false"]
    assert list(frame["grade"]) == ["NA", "B"]  # NA is a grade
    (unreadable,) = (
        each for each in read_as_declared(taken("1;1,5;ja;A;1", "1;dear;ja;A;0"), spec)[1] if not each.passed
    )
    assert (unreadable.column, unreadable.severity) == ("price", Severity.CRITICAL)
    assert "'dear' in row 2" in unreadable.observed


@claim(
    "docs/spec.md",
    "lower-case letters, digits, dashes, at most 40; not `v2`, not `seatrial` |",
    "| `rollout.replicas` | `1` | model servers per version, 1 to 32 |",
    "held-out rows sent to each new server before it gets traffic (1 to 1000);",
    "weights in percent (at most two decimals), rising and below 100,",
    "at most 10 m |",
    "bytes of a request, also once it is unpacked; at most 8 MiB, as the gateway |",
    "time from a request's headers to the end of its answer, whoever is slow (1 s to 60 s) |",
    "how soon an answer is on the disk (1 s to 1 h);",
    "bytes that the logs of the product may take together (16 MiB to 1 PiB);",
    "bytes a second, before compression, that one server adds at most (1 KiB to 1 GiB);",
    "share (0–1) of the requests that are kept,",
    "chance (0–0.5) of ever rolling back a candidate that is no worse,",
    "A metric needs a margin or a limit.",
    "weights that fall or reach 100, a share without anybody, an unknown metric, a target without an implementation.",
    "A column may stand in one of them only, and never the target.",
)
@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("product", ["a" * 40, "shop-2"], ["a" * 41, "Shop", "my_shop", "v2", "seatrial"]),
        ("rollout.replicas", [1, 32], [0, 33]),
        ("rollout.verify_rows", [1, 1000], [0, 1001]),
        ("rollout.canary.steps", [[0.25, 99.5]], [[10.125], [10, 5], [50, 100]]),
        ("execution.timeout", ["10m"], ["11m"]),
        ("rollout.server.limits.body", [8388608], [8388609]),
        ("rollout.server.limits.time", ["1s", "60s"], ["500ms", "61s"]),
        ("rollout.server.log.flush", ["1s", "1h"], ["900ms", "61m"]),
        ("rollout.server.log.size", [16 * 2**20, 2**50], [16 * 2**20 - 1, 2**50 + 1]),
        ("rollout.server.log.rate", [2**10, 2**30], [2**10 - 1, 2**30 + 1]),
        ("rollout.server.log.sample", [0.5, 1.0], [-0.1, 1.1]),
        ("rollout.analysis.alpha", [0.01, 0.4], [0.0, 0.6]),
        (
            "rollout.analysis.metrics",
            [[{"metric": "error_rate", "limit": 0.1}]],
            [[{"metric": "error_rate"}], [{"metric": "x"}]],
        ),
        ("rollout.ab.share", [50.0], [101.0]),
        ("rollout.target", ["local"], ["docker"]),
        ("preprocessing.categorical.columns", [["plan"]], [["plan", "age"], ["left"]]),
    ],
)
def test_bounds_are_those_of_the_page(tmp_path: Path, path: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        load_product(written(tmp_path, changed(path, value)))
    for value in bad:
        assert complaint(tmp_path, changed(path, value))


@claim(
    "docs/execution.md",
    "| the extra is not installed | `seatrial lint` and `seatrial release` name it, before anything is started | 2 |",
)
@pytest.mark.parametrize(("backend", "address"), [("dask", "tcp://scheduler:8786"), ("ray", "ray://head:10001")])
def test_an_extra_that_is_missing_is_named(
    alone: Seatrial, capsys: pytest.CaptureFixture[str], tmp_path: Path, backend: str, address: str
) -> None:
    spec = yaml.safe_load((ROOT / "specs" / "flights.yaml").read_text())
    spec["data"]["source"]["path"] = str(ROOT / "data" / "flights.parquet")
    spec["validation"]["suite"] = str(ROOT / "specs" / "flights.suite.json")
    (tmp_path / "flights.yaml").write_text(
        yaml.safe_dump(spec | {"execution": {"backend": backend, "address": address}})
    )
    for command in ("lint", "release"):
        assert alone(command, str(tmp_path / "flights.yaml")) == 2
        assert f"seatrial[{backend}]" in capsys.readouterr().err
    assert not (tmp_path / "home" / "mlflow").exists()


@claim(
    "docs/execution.md",
    "| it freezes: it is asked every 5 s, and answers nothing for a minute | likewise | 5 |",
    "Every field stands in [the spec](spec.md#execution).",
)
def test_a_cluster_is_asked_as_often_as_the_page_says() -> None:
    from tasks.execution import cluster_liveness, fit_location

    assert (5.0, timedelta(minutes=1)) == (cluster_liveness._EVERY_SECONDS, fit_location._SILENCE)
