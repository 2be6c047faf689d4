"""Inference logs as the model servers leave them: where the parts lie, and reading them.

A log is a folder, here or at an fsspec URL, of Parquet parts at `product=…/version=…/date=YYYY-MM-DD/part-….parquet`;
dates are of UTC. Product, version and date stand in the path alone, as whoever reads partitioned data expects. What
lies in `.incoming` is not finished.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from deployments.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

INCOMING: Final = ".incoming"
FEATURE: Final = "f_"
HASHED: Final = "h_"
_OF_AN_ANSWER = ("key", "time", "request_id", "version")


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """Which version answered a request of a key, and when."""

    key: str
    time: datetime
    request_id: str
    version: int


def is_url(folder: str) -> bool:
    """Whether a log lies at an fsspec URL; else it is a folder of this machine."""
    return "://" in folder


def check_place(folder: str) -> None:
    """Raises `BadInput` for a URL that could not name a folder, or that holds what nobody may read."""
    if not is_url(folder):
        return
    try:
        parts = urlsplit(folder)
    except ValueError:
        raise BadInput("the address is no URL: write protocol://place/folder") from None
    if not parts.scheme or not (parts.netloc + parts.path).strip("/"):
        raise BadInput(f"{folder!r} names no folder: write protocol://place/folder")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadInput(
            "the address may hold no user, password or query, for everybody can read it: "
            "give them in the environment or in fsspec's configuration"
        )


def check_reachable_by_fsspec(folder: str) -> None:
    """Raises `BadInput` if nothing that is installed can write to a URL like this one."""
    if not is_url(folder):
        return
    import fsspec

    protocol = folder.partition("://")[0]
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise BadInput(f"nobody knows the protocol {protocol!r}: use one that fsspec knows, such as s3") from None
    except ImportError as error:
        raise BadInput(f"{protocol}:// needs a package that is not installed: {error}") from None


def part_path(product: str, version: str, day: date, name: str) -> str:
    """Where a part lies in its log."""
    return f"product={product}/version={version}/date={day:%Y-%m-%d}/{name}"


def opened(folder: str) -> tuple[Any, str]:
    """The file system that a log lies in, as fsspec knows it, and the log's path there."""
    import fsspec

    # Files come and go by other hands, so that a remembered listing would be wrong.
    system, path = fsspec.url_to_fs(folder, **({"use_listings_cache": False} if is_url(folder) else {}))
    return system, str(path).rstrip("/")


def answers_between(
    folder: str, product: str, version: int, start: datetime, end: datetime, columns: Sequence[str] | None = None
) -> "pa.Table":
    """Every logged row of a version with `start` <= time < `end`, also those of mirrored requests.

    `columns` are those wanted, all for None; an unknown one raises `BadInput`. The table has no columns at all when
    nothing was logged.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    system, paths = _parts(folder, product, (version,), start, end)
    if not paths:
        return pa.table({})
    # What one server writes always has the same columns.
    one_a_server = {path.rpartition("-")[0]: path for path in paths}.values()
    dataset = _dataset(system, paths, pa.unify_schemas([_dataset(system, [path]).schema for path in one_a_server]))
    if unknown := sorted(set(columns or ()) - set(dataset.schema.names)):
        raise BadInput(f"the log of {product} v{version} has no column {unknown[0]!r}")
    time = ds.field("time")
    return dataset.to_table(columns=list(columns) if columns else None, filter=(time >= start) & (time < end))


def answers_to(
    folder: str, product: str, keys: Collection[str], start: datetime, end: datetime
) -> Iterator[LoggedAnswer]:
    """The answers that users with these keys got with `start` <= time <= `end`, in no order, of any version.

    Mirrored ones are left out: nobody got them.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    system, paths = _parts(folder, product, None, start, end)
    if not paths:
        return
    time = ds.field("time")
    theirs = ds.field("key").isin(pa.array(list(keys), pa.string())) & ~ds.field("mirrored") & (ds.field("row") == 0)
    when = (time >= start) & (time <= end)
    found = _dataset(system, paths).to_table(columns=list(_OF_AN_ANSWER), filter=theirs & when)
    for row in found.to_pylist():
        yield LoggedAnswer(**row)


def _parts(
    folder: str, product: str, versions: Collection[int] | None, start: datetime, end: datetime
) -> tuple[Any, list[str]]:
    """Parts that may hold what was answered in that time, in the order of their names."""
    system, root = opened(folder)
    base = f"{root}/product={product}"
    if versions is None:
        folders = [path for path in _listed(system, base) if "/version=" in path]
    else:
        folders = [f"{base}/version={version}" for version in versions]
    days = [f"date={day:%Y-%m-%d}" for day in _days(start, end)]
    found = (path for each in folders for day in days for path in _listed(system, f"{each}/{day}"))
    return system, sorted(path for path in found if path.endswith(".parquet") and "/part-" in path)


def _listed(system: Any, folder: str) -> list[str]:
    try:
        return [str(path) for path in system.ls(folder, detail=False)]
    except FileNotFoundError:
        return []


def _days(start: datetime, end: datetime) -> Iterator[date]:
    first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _dataset(system: Any, paths: Sequence[str], schema: "pa.Schema | None" = None) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    in_the_path = pa.schema([("product", pa.string()), ("version", pa.int32()), ("date", pa.date32())])
    partitioning = ds.partitioning(in_the_path, flavor="hive")
    return ds.dataset(list(paths), schema=schema, filesystem=system, format="parquet", partitioning=partitioning)
