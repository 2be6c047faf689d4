from dataclasses import replace

import numpy as np

from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.row_batch import Batch
from deployments.serving.unknown_categories import MINUTES, UnknownCategories, columns_unknown

PLACE = Feature("place", Kind.CATEGORICAL, "string", required=True, categories=frozenset({"pier", "park"}))
DAY = replace(PLACE, name='d"ay', categories=frozenset({"Monday"}))
FREE = replace(PLACE, name="free", categories=None)
SHOP = Description("shop", Output.PREDICTION, (), (PLACE, DAY, FREE), {"place": 0.25})


def batch(*rows: tuple[str | None, str | None]) -> Batch:
    places, days = zip(*rows, strict=True)
    return Batch(len(rows), np.empty((len(rows), 0)), (places, days, ("whatever",) * len(rows)))


SOME = batch(("pier", "Monday"), ("moon", "Monday"), (None, None), ("moon", "Doomsday"))


def test_rows_are_counted_by_column_where_somebody_knows_the_categories() -> None:
    counts = UnknownCategories(SHOP)
    counts.count(SOME, 0.0)
    counts.count(SOME, 1.0)
    assert counts.rows == {"place": 4, 'd"ay': 2}
    assert 'seatrial_server_unknown_categories_total{column="d\\"ay"} 2' in counts.as_text()


def test_of_late_tells_the_last_minutes_beside_what_training_held_out() -> None:
    counts = UnknownCategories(SHOP)
    assert counts.of_late(0.0) == {}
    counts.count(SOME, 0.0)
    counts.count(batch(("pier", "Monday")), 60.0 * (MINUTES - 1))
    now = 60.0 * (MINUTES - 1)
    assert counts.of_late(now)["place"] == {"unknown": 2, "rows": 5, "usual": 0.25}
    assert counts.of_late(now + 60.0) == {}
    assert counts.rows["place"] == 2


def test_the_columns_of_a_row_stand_together() -> None:
    assert columns_unknown(SHOP, SOME) == [None, "place", None, 'place,d"ay']


def test_a_model_without_categories_counts_nothing() -> None:
    counts = UnknownCategories(Description("shop", Output.PREDICTION, (), ()))
    counts.count(Batch(1, np.zeros((1, 1)), ()), 0.0)
    assert counts.as_text() == ""
