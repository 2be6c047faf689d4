import contextlib
import gzip
import sqlite3
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.errors import BadData, SourceUnreachable
from tasks.datasets.source import describe, read_source
from tasks.product_spec import Format, Source

CSV = "at,heat,place\n2020-05-01 12:00:00,15.5,pier\n2020-05-02 12:00:00,,park\n"


def read(source: Source) -> pa.Table:
    return read_source(source)[0]


def _source(path: Path, **fields: str) -> Source:
    return Source.model_validate_json(Source(path=str(path), **fields).model_dump_json())  # type: ignore[arg-type]


def _written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_csv_file_is_read_with_its_types_and_nulls(tmp_path: Path) -> None:
    table = read(_source(_written(tmp_path / "x.csv", CSV)))
    assert table.column_names == ["at", "heat", "place"]
    assert table.column("heat").to_pylist() == [15.5, None]
    assert pa.types.is_timestamp(table.schema.field("at").type)


def test_the_whole_csv_file_decides_the_type_of_a_column(tmp_path: Path) -> None:
    rows = "\n".join(["1,a"] * 400_000)
    table = read(_source(_written(tmp_path / "x.csv", f"n,s\n{rows}\n2.5,b\n")))
    assert table.schema.field("n").type == pa.float64()
    assert table.column("n")[-1].as_py() == 2.5


def test_a_compressed_csv_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    plain = read(_source(_written(tmp_path / "x.csv", CSV)))
    gzipped = _written(tmp_path / "x.csv.gz", gzip.compress(CSV.encode()))
    with zipfile.ZipFile(tmp_path / "x.csv.zip", "w") as archive:
        archive.writestr("x.csv", CSV)
    assert read(_source(gzipped)).equals(plain)
    assert read(_source(tmp_path / "x.csv.zip")).equals(plain)


def test_a_url_reads_like_a_path(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.csv", CSV)
    assert read(Source(url=f"file://{path}")).equals(read(_source(path)))


def test_a_parquet_file_is_read_as_it_is(tmp_path: Path) -> None:
    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert read(_source(tmp_path / "x.parquet")).equals(table)


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_missing_file_is_bad_data_and_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadData, match=rf"no file .*{name}"):
        read(_source(tmp_path / name))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(BadData, match="is a folder"):
        read(_source(tmp_path / "x.csv"))


@pytest.mark.parametrize("right", [";", "\t", "|"])
def test_a_wrong_delimiter_is_answered_with_the_right_one(tmp_path: Path, right: str) -> None:
    path = _written(tmp_path / "x.csv", CSV.replace(",", right))
    with pytest.raises(BadData) as caught:
        read(_source(path))
    assert f"set data.source.delimiter to {right!r}" in str(caught.value)
    assert read(_source(path, delimiter=right)).num_columns == 3


def test_a_ragged_row_is_named_by_its_number_and_not_shown(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.csv", "a,b\n1,2\nsecret-person\n")
    with pytest.raises(BadData, match="row 3 has 1 column where the first line has 2") as caught:
        read(_source(path))
    assert "secret-person" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        ("a,b\n1,é\n".encode("latin1"), "not UTF-8"),
        ("ä,b\n1,2\n".encode("latin1"), "not UTF-8"),
        (b"PAR1....PAR1", "format: parquet"),
        (b"a,a\n1,2\n", "several columns named a"),
    ],
)
def test_a_file_that_is_no_proper_csv_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadData, match=said):
        read(_source(_written(tmp_path / "x.csv", content)))


def test_a_csv_file_named_parquet_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="format: csv"):
        read(_source(_written(tmp_path / "x.parquet", CSV)))
    pq.write_table(pa.table({"a": range(1000)}), tmp_path / "y.parquet")
    whole = (tmp_path / "y.parquet").read_bytes()
    with pytest.raises(BadData, match="write it again"):
        read(_source(_written(tmp_path / "z.parquet", whole[: len(whole) // 2])))


def test_a_damaged_archive_is_bad_data(tmp_path: Path) -> None:
    whole = gzip.compress(CSV.encode() * 100)
    with pytest.raises(BadData, match="damaged"):
        read(_source(_written(tmp_path / "x.csv.gz", whole[: len(whole) // 2])))


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.zip", "x.csv.xz"])
def test_a_file_that_is_not_compressed_as_its_name_says_is_not_tried_again(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadData, match="not compressed as its name says"):
        read(Source(path=str(_written(tmp_path / name, CSV)), format=Format.CSV))


def test_an_empty_parquet_file_is_not_taken_for_text(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"x\.parquet is empty: write it again"):
        read(_source(_written(tmp_path / "x.parquet", "")))


def test_an_unknown_kind_of_url_is_bad_data_without_its_secret() -> None:
    with pytest.raises(BadData) as caught:
        read(Source(url="gopherhole://ann:hunter2@h.example/x.csv"))
    assert "hunter2" not in str(caught.value)


def test_a_file_system_that_breaks_is_unreachable_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    class _Broken(fsspec.AbstractFileSystem):  # type: ignore[misc]
        protocol = "broken"

        def _open(self, path: str, **_: object) -> None:
            raise RuntimeError(f"cannot reach ann:hunter2@h.example {path}")

    fsspec.register_implementation("broken", _Broken, clobber=True)
    with pytest.raises(SourceUnreachable) as caught:
        read(Source(url="broken://ann:hunter2@h.example/x.csv"))
    assert "hunter2" not in str(caught.value)
    assert "***@h.example" in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE sales (at TEXT, heat REAL, place TEXT, odd)")
        rows = [("2020-05-01 12:00:00", 15.5, "100% pier", 1), ("2020-05-02 12:00:00", None, "park", "one")]
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", rows)
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{path}")
    return path


def _query(sql: str) -> Source:
    return Source(sql=sql, connection_env="SHOP_DB")


@pytest.mark.usefixtures("shop")
def test_a_query_gives_its_columns_and_nulls() -> None:
    table = read(_query("SELECT at, heat, place FROM sales WHERE place LIKE '%p%' AND at > '2020-05-01 00:00:00'"))
    assert table.column_names == ["at", "heat", "place"]
    assert table.column("heat").to_pylist() == [15.5, None]


@pytest.mark.usefixtures("shop")
def test_a_query_without_rows_still_has_its_columns() -> None:
    table = read(_query("SELECT at, heat FROM sales WHERE heat > 99"))
    assert table.column_names == ["at", "heat"]
    assert table.num_rows == 0


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("sql", ["SELECT nothing FROM sales", "SELEC 1", "SELECT * FROM nowhere"])
def test_a_query_that_the_database_refuses_is_bad_data(sql: str) -> None:
    with pytest.raises(BadData, match="refuses the query"):
        read(_query(sql))


def test_a_query_changes_nothing(shop: Path) -> None:
    with pytest.raises(BadData, match="must be a SELECT"):
        read(_query("DELETE FROM sales"))
    connection = sqlite3.connect(shop)
    count = connection.execute("SELECT count(*) FROM sales").fetchone()[0]
    connection.close()
    assert count == 2


@pytest.mark.usefixtures("shop")
def test_a_column_of_mixed_values_is_named() -> None:
    with pytest.raises(BadData, match=r"column 'odd' .* holds int, str: CAST"):
        read(_query("SELECT odd FROM sales"))


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_DB", raising=False)
    with pytest.raises(BadData, match="SHOP_DB is not set"):
        read(_query("SELECT 1"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hunter2 at the shop", "holds no database URL"),
        ("paradox://ann:hunter2@h.example/shop", "kind of database that is not known"),
        ("sqlite:////nowhere/hunter.db", "no SQLite database"),
    ],
)
def test_a_wrong_database_address_is_bad_data(monkeypatch: pytest.MonkeyPatch, address: str, said: str) -> None:
    monkeypatch.setenv("SHOP_DB", address)
    with pytest.raises(BadData, match=said) as caught:
        read(_query("SELECT 1"))
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DB", "postgresql+pg8000://ann:hunter2@h.example/shop")
    monkeypatch.setitem(sys.modules, "pg8000", None)
    with pytest.raises(BadData, match="needs the driver pg8000"):
        read(_query("SELECT 1"))


def test_a_database_that_does_not_open_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DB", f"sqlite:///file:{tmp_path}/absent/x.db?mode=ro&uri=true")
    with pytest.raises(SourceUnreachable, match=r"\$SHOP_DB does not answer"):
        read(_query("SELECT 1"))


def test_a_locked_database_is_worth_another_try(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{shop}?timeout=0")
    holder = sqlite3.connect(shop, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(SourceUnreachable, match="locked"):
            read(_query("SELECT * FROM sales"))
    finally:
        holder.close()


def test_a_source_is_described_without_its_secrets() -> None:
    assert describe(Source(url="https://ann:hunter2@h.example/x.csv")) == "https://***@h.example/x.csv"
    assert describe(_query("SELECT 1")) == "the query on $SHOP_DB"
