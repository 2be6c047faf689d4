"""Whatever a table looks like, the product that `init` makes of it passes its own suite and its own gate."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.errors import BadData, BadInput, SeatrialError
from deployments.settings import Settings
from tasks.data_validation.validate import validate
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.datasets.split import split_by_time
from tasks.gate.rule_checks import judge
from tasks.gate.scoring import is_constant, score
from tasks.models.fitting import fit
from tasks.models.predictions import predict_rows
from tasks.problem_types import TaskKind
from tasks.product_spec import ProductSpec
from tasks.scaffolding.column_roles import key_columns, time_columns
from tasks.scaffolding.product_draft import Draft, Wish, draft, name_from
from tasks.scaffolding.read_rows import read_rows
from tasks.spec_file import load_product
from tasks.spec_lint import check_spec
from tests.advice import followed
from tests.unit.tasks.rollout_engine.world import ManualClock

Table = pd.DataFrame


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", project=tmp_path)


def bookings(rows: int = 300, seed: int = 1) -> Table:
    """A target that a price tells something of."""
    random = np.random.default_rng(seed)
    price = random.uniform(10, 500, rows).round(2)
    return pd.DataFrame(
        {
            "price": price,
            "country": random.choice(["FR", "DE", "IT"], rows),
            "cancelled": (random.uniform(size=rows) < 1 / (1 + np.exp(3 - price / 80))).astype(int),
        }
    )


def made(table: Table, settings: Settings, target: str = "cancelled", **more: Any) -> Draft:
    """What `init` makes of `table` as a CSV file."""
    file = settings.project / "rows.csv"
    table.to_csv(file, index=more.pop("index", False))
    rows = read_rows(str(file), settings.project)
    time, key = more.pop("time", None), tuple(more.pop("key", ()))
    return draft(Wish("rows", target, time, key, **more), rows, settings)


def released(product: Draft, settings: Settings) -> ProductSpec:
    """The spec as it was written, once a release's own checks were made of it: lint, suite and gate."""
    product.write()
    spec = load_product(product.spec_file)
    assert check_spec(spec, settings).problems == ()
    frame = load_snapshot(take_snapshot(spec, settings.snapshots))
    report = validate(frame, product.suite_file, spec)
    assert report.passed, [finding.message for finding in report.critical]
    split = split_by_time(frame, spec.data)
    fitted = fit(spec, split.training, settings, ManualClock())
    answers = predict_rows(fitted.model, split.evaluation, fitted.features, spec.data.target, spec.model.task)
    verdict = judge(spec.gate, score(spec.model.task, answers), None, constant=is_constant(answers))
    assert verdict.passed, verdict.failures
    return spec


def odd(kind: str) -> Table:  # noqa: PLR0912, PLR0915 - a list of tables
    """Bookings with something odd about them."""
    table, random = bookings(), np.random.default_rng(2)
    rows = len(table)
    match kind:
        case "plain":
            pass
        case "ids":
            table.insert(0, "booking_id", np.arange(1000, 1000 + rows))
            table["customerId"] = random.integers(1, 10**6, rows)
        case "constant and empty":
            table["currency"], table["note"] = "EUR", None
            table["half"] = np.where(random.uniform(size=rows) < 0.5, 1.0, np.nan)
        case "free text":
            table["comment"] = [f"guest {number} says {number * 7}" for number in range(rows)]
        case "many countries":
            table["country"] = random.choice([f"C{number}" for number in range(40)], rows)
        case "booleans":
            table["member"] = random.choice(["True", "False"], rows)
            table["cancelled"] = table["cancelled"].astype(bool)
        case "dates":
            table["at"] = pd.date_range("2026-01-01", periods=rows, freq="h").astype(str)
            table["born"] = pd.date_range("1950-01-01", periods=rows, freq="10D").date
        case "gaps":
            table.loc[random.uniform(size=rows) < 0.3, "price"] = np.nan
            table.loc[random.uniform(size=rows) < 0.3, "country"] = None
        case "names of YAML":
            table = table.assign(**{"on": random.normal(size=rows), "1e-3": 1.0 * random.integers(0, 9, rows)})
            table = table.assign(**{"a: b #c": random.normal(size=rows), "Größe ✓😀": random.normal(size=rows)})
            table = table.assign(**{'say "hi"\nthere': random.normal(size=rows), "'": random.choice(["x", "y"], rows)})
        case "three classes of text":
            table["cancelled"] = np.where(table["price"] < 150, "no", np.where(table["price"] < 300, "later", "yes"))
            table["price"] += random.normal(0, 60, rows)
        case "a rare class":
            table["cancelled"] = table["cancelled"].astype(str)
            table.loc[[3, 40], "cancelled"] = "perhaps"
        case "noise":
            table["cancelled"] = random.integers(0, 2, rows)
        case "leaks":
            table["refund"] = table["cancelled"] * 2.5
            table["status"] = np.where(table["cancelled"] == 1, "gone", "kept")
        case "few rows":
            table = table.head(40)
        case "enormous":
            table["mass"] = random.normal(size=rows) * 1e300
            table["vast"] = np.where(random.uniform(size=rows) < 0.01, np.inf, 1.0)
        case "codes":
            table["postcode"] = random.choice([10115, 80331, 20095, 50667], rows)
        case "a number":
            table["cancelled"] = table["price"] * 2 + random.normal(0, 50, rows)
        case "a skewed number":
            table["cancelled"] = np.exp(random.normal(0, 3, rows))
        case "numbers of noise":
            table["cancelled"] = random.normal(size=rows)
        case "rows again":
            table = pd.concat([table] * 3)
        case "a nameless index":
            table.index = pd.Index(random.permutation(rows))
    return table


ODD = [
    *(
        "plain",
        "ids",
        "constant and empty",
        "free text",
        "many countries",
        "booleans",
        "dates",
        "gaps",
        "names of YAML",
    ),
    *("three classes of text", "a rare class", "noise", "leaks", "few rows", "enormous", "codes", "a number"),
    *("a skewed number", "numbers of noise", "rows again"),
]


@pytest.mark.parametrize("kind", ODD)
def test_the_first_release_of_an_odd_table_is_good_enough(kind: str, settings: Settings) -> None:
    released(made(odd(kind), settings), settings)


def test_what_is_left_out_is_said_with_its_reason(settings: Settings) -> None:
    table = pd.concat([odd(kind) for kind in ("ids",)], axis=1)
    table["currency"], table["comment"] = "EUR", [f"text {number}" for number in range(len(table))]
    table["refund"] = table["cancelled"] * 2.5
    product = made(table, settings)
    assert {each.name for each in product.left_out} == {"booking_id", "customerId", "currency", "comment", "refund"}
    assert all(f"#   {each.name}: {each.why}" in product.spec for each in product.left_out)
    assert "it numbers the rows" in product.spec
    assert "the same value in every row" in product.spec


def test_a_nameless_index_is_left_out(settings: Settings) -> None:
    product = made(odd("a nameless index"), settings, index=True)
    assert [each.name for each in product.left_out] == [""]
    assert '""' in product.spec


def test_time_and_key_are_found_and_checked(settings: Settings) -> None:
    table = odd("dates").assign(booking_id=np.random.default_rng(5).permutation(10**5)[:300])
    file = settings.project / "rows.csv"
    table.to_csv(file, index=False)
    rows = read_rows(str(file), settings.project)
    assert time_columns(rows) == ("at", "born")
    assert key_columns(rows, "at", "cancelled") == ("booking_id",)
    numbered = table.assign(booking=range(500, 800))
    numbered.to_csv(file, index=False)
    assert key_columns(read_rows(str(file), settings.project), "at", "cancelled") == ("booking_id", "booking")
    spec = released(draft(Wish("rows", "cancelled", "at", ("booking_id",)), rows, settings), settings)
    assert (spec.data.time_column, spec.data.key) == ("at", ("booking_id",))


def test_a_limit_is_what_a_constant_reaches_where_the_model_is_better(settings: Settings) -> None:
    [auc, loss] = made(bookings(), settings).limits
    assert (auc.metric, auc.limit, auc.constant) == ("roc_auc", 0.5, 0.5)
    assert auc.model > 0.6
    assert loss.constant <= loss.limit < loss.constant * 1.01


def test_a_limit_leaves_room_where_the_model_is_no_better(settings: Settings) -> None:
    [found] = [each for each in made(odd("numbers of noise"), settings).limits if not each.beats_constant] or [None]
    if found is not None:  # by luck a model of noise may be better on a few rows
        assert found.limit > found.model


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found(delimiter: str, settings: Settings) -> None:
    file = settings.project / "rows.csv"
    bookings().to_csv(file, index=False, sep=delimiter)
    rows = read_rows("rows.csv", settings.project)
    assert rows.source.delimiter == delimiter
    spec = released(draft(Wish("rows", "cancelled", None, ()), rows, settings), settings)
    assert spec.data.source.delimiter == delimiter


@pytest.mark.parametrize("name", ["rows.parquet", "rows.pq", "rows", "rows.txt", "rows.csv.gz"])
def test_formats_are_found_by_ending_or_content(name: str, settings: Settings) -> None:
    file, table = settings.project / name, bookings()
    if name.endswith((".parquet", ".pq", "rows")):
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False)
    rows = read_rows(name, settings.project)
    released(draft(Wish("rows", "cancelled", None, ()), rows, settings), settings)


def test_a_url_is_read_and_stands_in_the_spec(settings: Settings) -> None:
    table = bookings()
    table.to_csv(settings.project / "there.csv", index=False)
    url = f"file://{settings.project}/there.csv"
    spec = released(draft(Wish("rows", "cancelled", None, ()), read_rows(url, Path("/")), settings), settings)
    assert (spec.data.source.url, spec.data.source.path) == (url, None)


def test_a_file_of_the_project_is_named_from_the_spec(settings: Settings) -> None:
    assert "path: ../rows.csv" in made(bookings(), settings).spec.replace('"', "")


def test_lists_and_structures_of_a_parquet_file_are_left_out(settings: Settings) -> None:
    table = bookings().assign(tags=[["a", "b"]] * 300, guest=[{"age": 3}] * 300, raw=b"x")
    table.to_parquet(settings.project / "rows.parquet")
    rows = read_rows("rows.parquet", settings.project)
    product = draft(Wish("rows", "cancelled", None, ()), rows, settings)
    assert {"tags", "guest", "raw"} <= {each.name for each in product.left_out}


def test_nothing_is_replaced(settings: Settings) -> None:
    product = made(bookings(), settings)
    product.write()
    before = product.spec_file.read_text()
    with pytest.raises(BadInput, match=followed("give another --name, or edit that file")):
        product.write()
    with pytest.raises(BadInput, match="is there already"):
        made(bookings(seed=3), settings)
    assert product.spec_file.read_text() == before
    renamed = draft(Wish("other", "cancelled", None, ()), read_rows("rows.csv", settings.project), settings)
    renamed.write()
    assert renamed.spec_file.exists()


def test_a_failed_write_leaves_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    product, write = made(bookings(), settings), Path.read_text

    def interrupted(path: Path, *_: Any, **__: Any) -> str:
        if path == product.spec_file:
            raise KeyboardInterrupt
        return write(path)

    monkeypatch.setattr(Path, "read_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        product.write()
    assert not settings.specs_folder.exists()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"target": "nothing"}, followed(": there is no column ", "tasks/scaffolding/column_roles.py")),
    ({"time": "price"}, "not a time"),
    ({"time": "nothing"}, "use one of "),
    ({"key": ["country"]}, followed("add a column, or choose none ")),
    ({"time": "at", "target": "at"}, followed("choose another column for --time and --key")),
    ({"target": "at"}, followed(": choose numbers or classes")),
    ({"target": "country", "task": TaskKind.REGRESSION}, followed("holds no numbers: use classification")),
]


@pytest.mark.parametrize(("wish", "why"), WRONG)
def test_what_cannot_be_is_said(wish: dict[str, Any], why: str, settings: Settings) -> None:
    table = bookings().assign(at=pd.date_range("2026-01-01", periods=300, freq="h"))
    with pytest.raises(SeatrialError, match=re.escape(why)):
        made(table, settings, **wish)
    assert not settings.specs_folder.exists()
    made(table, settings)


def test_a_file_that_is_none_or_has_no_rows(settings: Settings) -> None:
    with pytest.raises(BadInput, match=followed("no file is named: give a CSV or Parquet file, or a URL of one")):
        read_rows("", settings.project)
    file = settings.project / "rows.csv"
    bookings().head(0).to_csv(file, index=False)
    with pytest.raises(BadData, match=followed("has columns but no row: give a file with rows to learn from")):
        read_rows("rows.csv", settings.project)
    bookings().to_csv(file, index=False)
    assert len(read_rows("rows.csv", settings.project).frame) == 300


def test_the_text_of_a_spec_can_be_followed(settings: Settings) -> None:
    product = made(bookings().assign(comment=[f"text {number}" for number in range(300)]), settings)
    assert followed("# Written by `seatrial init`: yours to edit.") in product.spec
    assert followed("# Left out; move a column up to use it:") in product.spec
    product.write()
    product.spec_file.write_text(product.spec.replace("columns: [country]", "columns: [country, comment]"))
    spec = load_product(product.spec_file)
    assert "comment" in spec.preprocessing.features
    assert check_spec(spec, settings).problems == ()


def test_an_empty_key_is_advised_against(settings: Settings) -> None:
    table = bookings().assign(ref=[None, *range(299)])
    with pytest.raises(BadInput, match=followed("choose another key, or none with --key ''")):
        made(table, settings, key=["ref"])
    made(table, settings, key=())


TARGETS: list[tuple[Any, str]] = [
    ([1] * 300, "only one value"),
    ([None, *[0, 1] * 149, 1], followed("leave these out of the file")),
    ([f"t{number}" for number in range(300)], followed("which are no classes: choose another, or make it ")),
]


@pytest.mark.parametrize(("target", "why"), TARGETS)
def test_a_target_that_cannot_be_learned(target: Any, why: str, settings: Settings) -> None:
    with pytest.raises(BadData, match=why):
        made(bookings().assign(cancelled=target), settings)


def test_a_table_without_features(settings: Settings) -> None:
    with pytest.raises(BadData, match=followed("add columns that tell something of ")):
        made(bookings()[["cancelled"]].assign(id=range(300)), settings)
    made(bookings()[["cancelled", "price"]].assign(id=range(300)), settings)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/data/Hotel Bookings (2).csv", "hotel-bookings-2"),
        ("s3://bucket/a_b.csv.gz", "a-b"),
        ("https://host/rows.parquet?token=x/y.csv", "rows"),
        ("2024.csv", "product-2024"),
        ("v2.csv", "v2-model"),
        ("", "product"),
        ("ünï.csv", "n"),
        (f"{'x' * 60}.csv", "x" * 40),
    ],
)
def test_a_name_is_made_of_the_file(place: str, name: str) -> None:
    assert name_from(place) == name


def test_a_file_of_another_country_is_understood_and_all_of_it_is_declared(settings: Settings) -> None:
    random = np.random.default_rng(1)
    price, day = random.uniform(10, 500, 300).round(2), pd.date_range("2024-01-01", periods=300)
    table = pd.DataFrame({"nr_id": [f"{number:05}" for number in range(300)], "am": day.strftime("%d.%m.%Y")})
    table["ort"], table["plz"] = random.choice(["Köln", "Zürich"], 300), random.choice(["01067", "1067"], 300)
    table["preis"] = [f"{each:.2f}".replace(".", ",") for each in price]
    table["umsatz"] = [f"{each:,.2f}".translate({44: ".", 46: ","}) for each in price * 9 + random.normal(0, 900, 300)]
    (settings.project / "rows.csv").write_bytes(table.to_csv(index=False, sep=";").encode("cp1252"))
    rows = read_rows("rows.csv", settings.project)
    assert (time_columns(rows), key_columns(rows, "am", "umsatz")) == (("am",), ("nr_id",))
    product = draft(Wish("rows", "umsatz", "am", ("nr_id",)), rows, settings)
    declared = {
        "preis": '{type: number, decimal: ","}',
        "ort": "{type: category}",
        "plz": "{type: category}",
        "umsatz": '{type: number, decimal: ",", thousands: "."}',
        "nr_id": "{type: category}",
        "am": '{type: time, format: "%d.%m.%Y"}',
    }
    assert all(f"    {name}: {column}\n" in product.spec for name, column in declared.items()), product.spec
    spec = released(product, settings)
    assert (spec.data.source.encoding, set(spec.data.columns)) == ("cp1252", set(declared))


def test_columns_of_one_name_are_left_out(settings: Settings) -> None:
    text = bookings().assign(note="a", remark="b").to_csv(index=False).replace("note,remark", "note,note", 1)
    (settings.project / "rows.csv").write_text("".join(f"{line},,\n" for line in text.splitlines()))
    product = draft(Wish("rows", "cancelled", None, ()), read_rows("rows.csv", settings.project), settings)
    assert {each.name for each in product.left_out} == {"note", ""}
    released(product, settings)
