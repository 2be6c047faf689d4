"""What gives the target away is told from what is merely a very good feature."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.data_validation.target_leakage import Leak, leaks

ROWS = 400
CHANCE = np.random.default_rng(0)
PRICE = (20 + 3 * CHANCE.uniform(0, 10, ROWS) + CHANCE.normal(0, 1, ROWS)).round(2)
DEAR = (PRICE > 35).astype(int)
LONG_IDS = pd.Series([1234567890123456789 + row * 7 % 1000 for row in range(ROWS)])


def found(feature: Any, target: Any) -> Leak | None:
    frame = pd.DataFrame({"feature": feature, "target": target})
    return next(leaks(frame, ["feature"], "target"), None)


ENTIRELY: dict[str, tuple[Any, Any]] = {
    "with tax": ((PRICE * 1.19).round(2), PRICE),
    "in another unit": (-PRICE, PRICE),
    "a curve of it": (np.exp(PRICE / 10), PRICE),
    "its rank": (pd.Series(PRICE).rank(method="dense"), PRICE),
    "as text": (pd.Series(PRICE).map("{:.3f}".format), PRICE),
    "with a currency and a decimal comma": (
        pd.Series(PRICE).map(lambda each: f"{each:.2f} €".replace(".", ",")),
        PRICE,
    ),
    "an id of nineteen digits": (LONG_IDS, LONG_IDS),
    "an id as text": (LONG_IDS.astype(str), LONG_IDS),
    "classes by other names": (np.where(DEAR, "late", "on time"), DEAR),
    "more categories than classes": (np.where(DEAR, np.where(PRICE > 40, "b", "c"), "a"), DEAR),
    "there or not": (pd.Series(np.where(DEAR, PRICE % 7, np.nan)), DEAR),
    "nothing or something": (np.where(DEAR, 1 + PRICE % 7, 0), DEAR),
    "what the classes were made from": (PRICE, DEAR),
    "a flag": (DEAR == 1, np.where(DEAR, "yes", "no")),
}


@pytest.mark.parametrize(("feature", "target"), ENTIRELY.values(), ids=list(ENTIRELY))
def test_what_tells_the_target_in_every_row_gives_it_away(feature: Any, target: Any) -> None:
    leak = found(feature, target)
    assert leak is not None
    assert leak.entirely, leak


HONEST: dict[str, tuple[Any, Any]] = {
    "explains 99 %": (PRICE + CHANCE.normal(0, 0.1 * PRICE.std(), ROWS), PRICE),
    "explains 99.99 %": (PRICE + CHANCE.normal(0, 0.01 * PRICE.std(), ROWS), PRICE),
    "rounded to whole ones": (PRICE.round(), PRICE),
    "right in 99 of 100 rows": (np.where(np.arange(ROWS) % 100 == 7, 1 - DEAR, DEAR), DEAR),
    "a number of its own a row": (np.arange(ROWS), PRICE),
    "an id a row": ([f"u{row}" for row in range(ROWS)], DEAR),
    "known in a few rows": (pd.Series(PRICE).where(np.arange(ROWS) % 3 == 0), PRICE),
    "groups that lie apart": (DEAR * 10 + PRICE % 1, DEAR),
    "a small sample of classes": (DEAR[:40], DEAR[:40]),
    "one value": (np.ones(ROWS), PRICE),
    "a rare class in one category": (np.where(np.arange(ROWS) < 2, "x", "y"), (np.arange(ROWS) < 2).astype(int)),
}


@pytest.mark.parametrize(("feature", "target"), HONEST.values(), ids=list(HONEST))
def test_a_very_good_feature_does_not(feature: Any, target: Any) -> None:
    leak = found(feature, target)
    assert leak is None or not leak.entirely, leak


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_no_feature_of_a_well_known_table_gives_its_target_away(name: str) -> None:
    from sklearn import datasets

    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    features = [column for column in frame if column != "target"]
    for target in (frame["target"], (frame["target"] == frame["target"].min()).astype(int)):
        assert [leak for leak in leaks(frame.assign(target=target), features, "target") if leak.entirely] == []


def test_honest_small_samples_are_hardly_ever_refused() -> None:
    refused = 0
    for seed in range(200):
        chance = np.random.default_rng(seed)
        truth = chance.normal(size=30)
        refused += bool((leak := found(truth + chance.normal(0, 0.03, 30), truth)) and leak.entirely)
        classes = chance.integers(0, 2, 60)
        refused += bool((leak := found(classes ^ (chance.uniform(size=60) < 0.01), classes)) and leak.entirely)
    assert refused == 0


def test_rows_that_stand_there_often_count_once() -> None:
    bands = PRICE[:100] // 3
    few = pd.DataFrame({"feature": bands, "id": range(100), "price": PRICE[:100], "target": (bands > 11).astype(int)})
    often = pd.concat([few] * 4, ignore_index=True)
    told = {leak.feature: leak.entirely for leak in leaks(often, ["feature"], "target")}
    assert told == {"feature": False}
