"""The rows of a file or URL of which nothing is known but its place."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from deployments.errors import BadData, BadInput
from deployments.inference_log_reader import is_url
from tasks.datasets.source import describe, read_source
from tasks.product_spec import Format, Source

if TYPE_CHECKING:
    import pandas as pd

_DELIMITERS = ",;\t|"
_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class Rows:
    """A source that can be read, and all its rows: as Arrow has them and as the suite and training see them."""

    source: Source
    table: pa.Table
    frame: "pd.DataFrame"


def read_rows(place: str, folder: Path) -> Rows:
    """The rows at `place`, a URL or a path; relative paths count from `folder`.

    Format and delimiter are found out. Raises `BadData` or `SourceUnreachable` for what cannot be read or has no rows.
    """
    found: BadData | None = None
    for source in _sources(place, folder):
        try:
            table = read_source(source)
        except BadData as error:
            found = found or error
            continue
        if not table.num_rows:
            raise BadData(f"{describe(source)} has columns but no row: give a file with rows to learn from")
        return Rows(source, table, table.to_pandas())
    raise found or BadData(f"{place!r} cannot be read")


def _sources(place: str, folder: Path) -> list[Source]:
    """The ways to read it that are tried, the likeliest first."""
    if not place:
        raise BadInput("no file is named: give a CSV or Parquet file, or a URL of one")
    where = {"url": place} if is_url(place) else {"path": str((folder / place).resolve())}
    lowered = place.lower().partition("?")[0] if is_url(place) else place.lower()
    named = lowered.endswith((".parquet", ".pq", ".csv", ".csv.gz", ".csv.zip"))
    is_parquet = lowered.endswith((".parquet", ".pq")) or (not named and "path" in where and _begins_as_parquet(where))
    # A format by the ending alone need not stand in the spec.
    told = named and lowered == place.lower()
    parquet = Source.model_validate({**where, **({} if told else {"format": Format.PARQUET})})
    if is_parquet:
        return [parquet]
    texts = [
        Source.model_validate(
            {
                **where,
                **({} if told else {"format": Format.CSV}),
                **({} if delimiter == "," else {"delimiter": delimiter}),
            }
        )
        for delimiter in _DELIMITERS
    ]
    return texts if named or "path" in where else [*texts, parquet]


def _begins_as_parquet(where: dict[str, str]) -> bool:
    path = Path(where["path"])
    if not path.is_file():
        return False  # reading says what is the matter
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET
