"""A row of the log says what was asked, what was answered, and nothing that is masked."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.serving.inference_log.arrow_table import Masking, Tables
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from tests.model_folder import ROWS
from tests.unit.deployments.serving.inference_log.answered import ROW, logged

REPOSITORY = Path(__file__).resolve().parents[5]
FEATURES = (
    Feature("distance", Kind.NUMERIC, "double", required=True),
    Feature("hour", Kind.NUMERIC, "double", required=True),
    Feature("carrier", Kind.CATEGORICAL, "string", required=False),
)
FLIGHTS = Description("flights", Output.PROBABILITY, (False, True), FEATURES)
DELAYS = Description("delays", Output.PREDICTION, (), FEATURES)
SPRING = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rows_of(tables: Tables, *answers: Any) -> list[dict[str, Any]]:
    return [row for _, block in tables.blocks(answers, SPRING.timestamp()) for row in tables.table([block]).to_pylist()]


def test_every_row_of_a_request_is_told_with_its_answer() -> None:
    answer = logged("a", ROWS, key=b"ann", paired=True, answered=1.5, predictions=[[0.9, 0.1], [0.2, 0.8]] * 2)
    first, second, third, fourth = rows_of(Tables(FLIGHTS), answer)
    assert first == {
        "request_id": "a",
        "row": 0,
        "time": datetime(2026, 3, 1, 12, 0, 1, 500_000, tzinfo=UTC),
        "mirrored": False,
        "paired": True,
        "key": "ann",
        "latency_ms": 2.5,
        "unknown_categories": None,
        "f_distance": 1400.0,
        "f_hour": 5.0,
        "f_carrier": "UA",
        "prediction": "false",
        "scores": [0.9, 0.1],
    }
    assert (second["row"], second["f_hour"], second["prediction"]) == (1, None, "true")
    assert (third["f_carrier"], fourth["f_carrier"], fourth["row"]) == (None, "never seen", 3)


def test_a_row_tells_the_columns_whose_category_training_never_saw_also_where_they_are_masked() -> None:
    carrier = replace(FEATURES[2], categories=frozenset({"UA", "B6"}))
    described = replace(FLIGHTS, features=(*FEATURES[:2], carrier))
    for masking in (Masking(), Masking(frozenset({"carrier"}))):
        found = rows_of(Tables(described, masking), logged("a", ROWS, predictions=[[0.9, 0.1]] * 4))
        assert [row["unknown_categories"] for row in found] == [None, None, None, "carrier"]


def test_requests_of_any_size_stand_below_one_another() -> None:
    found = rows_of(Tables(FLIGHTS), logged("a"), logged("b", (ROW,) * 3, mirrored=True), logged("c"))
    assert [(row["request_id"], row["row"], row["mirrored"]) for row in found] == [
        ("a", 0, False),
        ("b", 0, True),
        ("b", 1, True),
        ("b", 2, True),
        ("c", 0, False),
    ]


def test_answers_with_and_without_scores_keep_their_order_and_share_their_columns() -> None:
    answers = [logged("a"), logged("b", predictions=[True]), logged("c")]
    tables = Tables(FLIGHTS)
    found = tables.table([block for _, block in tables.blocks(answers, 0.0)]).to_pylist()
    assert [(row["prediction"], row["scores"]) for row in found] == [
        ("true", [0.25, 0.75]),
        ("true", None),
        ("true", [0.25, 0.75]),
    ]


def test_a_regression_predicts_numbers() -> None:
    [row] = rows_of(Tables(DELAYS), logged(predictions=[12.5]))
    assert (row["prediction"], row["scores"]) == (12.5, None)


def test_labels_are_text_as_feedback_writes_it() -> None:
    for classes, texts in (((1, 2), ["1", "2"]), ((1.0, 2.5), ["1", "2.5"]), (("x", "y"), ["x", "y"])):
        described = Description("flights", Output.PREDICTION, classes, FEATURES)
        found = rows_of(Tables(described), logged(rows=(ROW,) * 2, predictions=classes))
        assert [row["prediction"] for row in found] == texts


def test_a_model_that_predicts_several_numbers_has_them_as_its_scores() -> None:
    [row] = rows_of(Tables(DELAYS), logged(predictions=[[12.5, 3.0, 1.0]]))
    assert (row["prediction"], row["scores"]) == (None, [12.5, 3.0, 1.0])


def test_a_day_ends_at_midnight_of_utc() -> None:
    late, early = logged("a", answered=43_199.9), logged("b", answered=43_200.1)
    found = [(day, block.rows) for day, block in Tables(FLIGHTS).blocks([late, early], SPRING.timestamp())]
    assert found == [(datetime(2026, 3, 1, tzinfo=UTC), 1), (datetime(2026, 3, 2, tzinfo=UTC), 1)]


def test_texts_of_any_length_and_script_are_told_apart() -> None:
    carriers = ("UA", "", None, "航空", "é", "B6", None)
    found = rows_of(Tables(FLIGHTS), logged(rows=tuple((1.0, 2.0, carrier) for carrier in carriers)))
    assert tuple(row["f_carrier"] for row in found) == carriers


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"sid=42", "42"),
        (b"theme=dark; sid=42; lang=en", "42"),
        (b"theme=dark;sid=", None),
        (b"resid=41", None),
        (b"theme=dark", None),
        (None, None),
    ],
)
def test_a_key_in_a_cookie_is_found_there(header: bytes | None, key: str | None) -> None:
    [row] = rows_of(Tables(FLIGHTS, cookie="sid"), logged(key=header))
    assert row["key"] == key


@pytest.mark.parametrize(("header", "key"), [(b"", None), (b"\xff", "\ufffd"), ("Zoë".encode(), "Zoë")])
def test_a_key_is_text_whatever_its_bytes(header: bytes, key: str | None) -> None:
    [row] = rows_of(Tables(FLIGHTS), logged(key=header))
    assert row["key"] == key


def test_a_masked_column_is_there_without_its_values() -> None:
    tables = Tables(FLIGHTS, Masking(frozenset({"hour", "carrier"})))
    [row] = rows_of(tables, logged())
    assert (row["f_distance"], row["f_hour"], row["f_carrier"]) == (1400.0, None, None)
    assert not [name for name in row if name.startswith("h_")]
    batch = tables.table([block for _, block in tables.blocks([logged()], 0.0)])
    assert [str(batch.schema.field(name).type) for name in ("f_hour", "f_carrier")] == ["double", "string"]


def test_with_a_secret_equal_values_can_still_be_joined_and_no_value_is_there() -> None:
    masking = Masking(frozenset({"hour", "carrier"}), b"secret")
    rows = (ROW, ROW, (1.0, 6.0, "DL"), (1.0, None, None))
    first, same, other, missing = rows_of(Tables(FLIGHTS, masking), logged(rows=rows))
    assert len(first["h_hour"]) == len(first["h_carrier"]) == 32
    assert (same["h_hour"], same["h_carrier"]) == (first["h_hour"], first["h_carrier"])
    assert {other["h_hour"], other["h_carrier"]}.isdisjoint({first["h_hour"], first["h_carrier"]})
    assert (missing["h_hour"], missing["h_carrier"]) == (None, None)
    assert (first["f_hour"], first["f_carrier"]) == (None, None)
    [elsewhere] = rows_of(Tables(FLIGHTS, Masking(masking.columns, b"another")), logged())
    assert elsewhere["h_carrier"] != first["h_carrier"]


def test_a_secret_is_not_shown() -> None:
    from deployments.serving.inference_log import LogOptions

    assert "hunter2" not in repr(LogOptions("folder", secret=b"hunter2"))
    assert "hunter2" not in repr(Masking(secret=b"hunter2"))


def test_no_pandas_is_imported_for_it() -> None:
    program = (
        "import sys, numpy\n"
        "from deployments.serving.row_batch import Batch\n"
        "from deployments.serving.model_metadata import Description, Feature, Kind, Output\n"
        "from deployments.serving.inference_log import Logged\n"
        "from deployments.serving.inference_log.part_store import as_parquet\n"
        "from deployments.serving.inference_log.arrow_table import Masking, Tables\n"
        "features = (Feature('n', Kind.NUMERIC, 'double', True), Feature('c', Kind.CATEGORICAL, 'string', True))\n"
        "tables = Tables(Description('p', Output.PROBABILITY, (0, 1), features), Masking(frozenset('nc'), b'x'))\n"
        "batch = Batch(1, numpy.ones((1, 1)), (['UA'],))\n"
        "answer = Logged('a', b'k', False, False, batch, numpy.array([[0.5, 0.5]]), 0.0, 0.0, 0)\n"
        "as_parquet(tables.table([block for _, block in tables.blocks([answer], 0.0)]))\n"
        "print('pandas' in sys.modules)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "False"
