"""Reading a log: rows of a version and a time, as one table."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from deployments.errors import BadInput
from deployments.inference_log_reader.location import open_filesystem

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
# A server removes parts once in a long while, many at a time.
_MOST_TRIES: Final = 5


def reread_when_parts_vanish(read: Callable[[], T]) -> T:
    """What `read` returns, which lists parts and reads them; again if one of them has given way in between."""
    for _ in range(_MOST_TRIES - 1):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()


def answers_between(
    folder: str, product: str, version: int, start: datetime, end: datetime, columns: Sequence[str] | None = None
) -> "pa.Table":
    """Every logged row of a version with `start` <= time < `end`, also those of mirrored requests.

    `columns` are those wanted, all for None; an unknown one raises `BadInput`. The table has no columns at all when
    nothing was logged.
    """
    return reread_when_parts_vanish(lambda: _answers_between(folder, product, version, (start, end), columns))


def _answers_between(
    folder: str, product: str, version: int, times: tuple[datetime, datetime], columns: Sequence[str] | None
) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.dataset as ds

    start, end = times
    system, paths = parts_of(folder, product, (version,), tuple(days_between(start, end)))
    if not paths:
        return pa.table({})
    # What one server writes always has the same columns.
    one_a_server = {path.rpartition("-")[0]: path for path in paths}.values()
    dataset = dataset_of(system, paths, pa.unify_schemas([dataset_of(system, [path]).schema for path in one_a_server]))
    if unknown := sorted(set(columns or ()) - set(dataset.schema.names)):
        raise BadInput(f"the log of {product} v{version} has no column {unknown[0]!r}")
    time = ds.field("time")
    return dataset.to_table(columns=list(columns) if columns else None, filter=(time >= start) & (time < end))


def parts_of(
    folder: str, product: str, versions: Collection[int] | None, days: Collection[date]
) -> tuple[Any, list[str]]:
    """Parts of those days, in the order of their names. Days on which nothing was answered cost nothing."""
    system, root = open_filesystem(folder)
    base = f"{root}/product={product}"
    if versions is None:
        folders = [path for path in listed(system, base) if "/version=" in path]
    else:
        folders = [f"{base}/version={version}" for version in versions]
    wanted = {f"date={day:%Y-%m-%d}" for day in days}
    there = (day for each in folders for day in listed(system, each) if day.rpartition("/")[2] in wanted)
    found = (path for day in there for path in listed(system, day))
    return system, sorted(path for path in found if path.endswith(".parquet") and "/part-" in path)


def days_between(start: datetime, end: datetime) -> Iterator[date]:
    """The days of UTC that a time touches, both ends included."""
    first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def listed(system: Any, folder: str) -> list[str]:
    """What lies in a folder, by full path; nothing for one that is not there."""
    try:
        return [str(path).rstrip("/") for path in system.ls(folder, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def dataset_of(system: Any, paths: Sequence[str], schema: "pa.Schema | None" = None) -> Any:
    """Parts as one dataset of pyarrow, with what their paths say as columns."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    in_the_path = pa.schema([("product", pa.string()), ("version", pa.int32()), ("date", pa.date32())])
    partitioning = ds.partitioning(in_the_path, flavor="hive")
    return ds.dataset(list(paths), schema=schema, filesystem=system, format="parquet", partitioning=partitioning)
