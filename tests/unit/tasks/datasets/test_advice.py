"""Advice on the data of a spec is followed here, and helps."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.errors import BadData
from tasks.datasets.source import read_source
from tasks.spec import Format, Source

CSV = "at,heat\n2020-05-01 12:00:00,15.5\n2020-05-02 12:00:00,16\n"


def source(path: Path, kind: str | None = None) -> Source:
    return Source(path=str(path), format=Format(kind) if kind else None)


@pytest.mark.parametrize(("name", "wrong", "right"), [("x.csv", "parquet", "csv"), ("x.parquet", "csv", "parquet")])
def test_a_file_that_is_read_as_another_kind_names_its_own(tmp_path: Path, name: str, wrong: str, right: str) -> None:
    file = tmp_path / name
    if right == "csv":
        file.write_text(CSV)
    else:
        pq.write_table(pa.table({"at": ["2020-05-01"], "heat": [15.5]}), file)
    with pytest.raises(BadData) as error:
        read_source(source(file, wrong))
    assert f"set data.source.format: {right}" in str(error.value)
    assert read_source(source(file, right)).num_columns == 2


def test_a_folder_is_answered_with_one_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(CSV)
    with pytest.raises(BadData, match=r"give one file in data\.source"):
        read_source(source(tmp_path, "csv"))
    assert read_source(source(tmp_path / "x.csv")).num_rows == 2


def test_columns_of_one_name_are_renamed_but_for_one(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("at,heat,heat\n2020-05-01,1,2\n")
    with pytest.raises(BadData, match="rename all but one"):
        read_source(source(file))
    file.write_text("at,heat,warmth\n2020-05-01,1,2\n")
    assert read_source(source(file)).num_columns == 3
