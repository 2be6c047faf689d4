"""What libraries say of data is kept and shown; the cells that they quote are not."""

import traceback

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import OneHotEncoder

from deployments.errors import BadModel
from tasks.models.cell_redaction import hide_cells, without_cells
from tasks.models.predictions import predictions_of

PEOPLE = pd.DataFrame({"name": ["Ann Smith", "D'Arcy", "age"], "age": [1.0, 2.0, None]})


def test_a_cell_that_scikit_learn_quotes_is_hidden_with_all_that_led_to_it() -> None:
    with pytest.raises(ValueError, match="Ann Smith") as caught:
        LinearRegression().fit(PEOPLE[["name"]], [1, 2, 3])
    hide_cells(caught.value, PEOPLE)
    told = "".join(traceback.format_exception(caught.value))
    assert "could not convert string to float: '***'" in told
    assert "Ann Smith" not in told


def test_an_unknown_category_is_hidden() -> None:
    encoder = OneHotEncoder().fit(pd.DataFrame({"name": ["other"]}))
    with pytest.raises(ValueError, match="unknown categories") as caught:
        encoder.transform(PEOPLE[["name"]])
    hide_cells(caught.value, PEOPLE)
    assert "Ann" not in str(caught.value)
    assert "Arcy" not in str(caught.value)


def test_a_model_that_quotes_what_it_was_asked_is_told_without_it() -> None:
    class Quoting:
        def predict(self, rows: pd.DataFrame) -> None:
            try:
                float(rows["name"][0])
            except ValueError as error:
                raise RuntimeError(f"no number: {error}") from error

    with pytest.raises(BadModel, match="predict raised RuntimeError: no number") as caught:
        predictions_of(Quoting(), PEOPLE)
    assert "Ann Smith" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("text", ["the column 'age' is odd", "no quotes: Ann Smith", "'nobody' is unknown"])
def test_what_is_no_quoted_cell_stays(text: str) -> None:
    assert without_cells(text, PEOPLE) == text


def test_labels_count_as_cells() -> None:
    assert without_cells("unseen labels: ['ill']", PEOPLE, ["ill", "well", "ill"]) == "unseen labels: ['***']"
