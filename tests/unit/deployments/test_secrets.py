import pytest

from deployments.secrets import masked, without_secrets


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
