"""What a database says of values is told without them."""

import pytest
from asyncpg import exceptions
from sqlalchemy.exc import DataError

from tasks.datasets.sql_source import _said


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            exceptions.InvalidTextRepresentationError('invalid input syntax for type integer: "Ann Smith"'),
            "invalid input syntax for type integer",
        ),
        (
            exceptions.InvalidDatetimeFormatError(
                'invalid input syntax for type date: "Ann Smith"\nCONTEXT: Ann Smith'
            ),
            "invalid input syntax for type date",
        ),
        (exceptions.UndefinedColumnError('column "nmae" does not exist'), 'column "nmae" does not exist'),
    ],
)
def test_a_value_that_a_database_quotes_is_not_told(error: exceptions.PostgresError, told: str) -> None:
    assert _said(DataError("SELECT 1", {}, error), "postgresql://me:hunter2@db/x") == told
