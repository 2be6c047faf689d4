from pathlib import Path

import pytest

from deployments.errors import BadSpec
from deployments.redaction import masked, quoted, without_secrets
from tasks.spec_file import load_product


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/data/sales.csv", "/data/sales.csv"),
        ("s3://bucket/sales.csv", "s3://bucket/sales.csv"),
        ("https://ann:hunter2@files.example/sales.csv", "https://***@files.example/sales.csv"),
        ("https://files.example/sales.csv?sig=hunter2&v=1", "https://files.example/sales.csv?sig=***&v=***"),
        ("simplecache::ftp://ann:hunter2@h.example/x.csv", "simplecache::ftp://***@h.example/x.csv"),
        ("postgresql+psycopg://ann:hunter2@db.example:5432/shop", "postgresql+psycopg://***@db.example:5432/shop"),
    ],
)
def test_a_masked_address_keeps_the_place_and_hides_the_secrets(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_an_address_that_cannot_be_split_is_hidden_whole() -> None:
    assert masked("https://[hunter2/x.csv") == "***"
    assert "hunter2" not in without_secrets("no host in https://[hunter2/x.csv", "https://[hunter2/x.csv")


def test_the_words_of_a_foreign_error_lose_the_address_and_each_secret_of_it() -> None:
    address = "https://ann:hunter2@files.example/x.csv?token=abc123"
    said = without_secrets(f"GET {address}: user ann:hunter2 with token abc123 may not", address)
    assert "hunter2" not in said
    assert "abc123" not in said
    assert "files.example" in said


@pytest.mark.parametrize("said", ["p@ss/w", "p%40ss%2Fw", "a+b", "a%2Bb"])
def test_a_secret_is_hidden_however_it_is_written(said: str) -> None:
    address = "postgresql://ann:p%40ss%2Fw@db.example/shop?sslpassword=a%2Bb"
    assert without_secrets(f"refused {said}!", address) == "refused ***!"


@pytest.mark.parametrize(
    "value",
    [
        "postgres://me:hunter2@db/x",
        {"url": "postgres://me:hunter2@db/x"},
        ["see s3://key:hunter2@bucket?token=hunter2 there"],
        {"password": "hunter2", "deep": {"apiKey": "hunter2", "AWS_SECRET_ACCESS_KEY": "hunter2"}},
        {"padding": "x" * 60, "url": "postgres://me:hunter2@db/x"},
        "host=db user=me password=hunter2",
        "host=db password = 'hunter2 hunter' user=me",
        "AccountName=me;AccountKey=hunter2==;EndpointSuffix=x",
        ["Driver={x};PWD=hunter2;"],
        {"connection": "https://x/y?sig=1 SharedAccessSignature=hunter2"},
    ],
)
def test_what_an_error_quotes_holds_no_secret(value: object) -> None:
    assert "hunter2" not in quoted(value)
    assert "hunter" not in quoted(value)
    assert len(quoted(value)) <= 80


def test_what_is_no_secret_is_quoted_as_it_stands() -> None:
    assert quoted("5 °C") == '"5 °C"'
    assert quoted({"a": [1, None]}) == '{"a": [1, null]}'
    assert quoted("x" * 100) == f'"{"x" * 78}…'


def test_a_password_in_the_wrong_place_of_a_spec_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("product: shop\ndata: postgres://me:hunter2@db/x\n")
    with pytest.raises(BadSpec) as caught:
        load_product(path)
    assert "hunter2" not in str(caught.value)
    assert "postgres://***@db/x" in str(caught.value)
