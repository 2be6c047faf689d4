"""CSV and Parquet files, on this machine or behind any fsspec URL."""

import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from deployments.errors import BadData, SourceUnreachable
from deployments.plurals import counted
from deployments.redaction import masked, without_secrets
from tasks.product_spec import Format, Source

# Columns of a CSV file as they stand there, by name.
Texts = Mapping[str, pa.ChunkedArray]
_DELIMITERS = ",;\t|"
_LONGEST_BLOCK = 2**31 - 1
_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, EOFError, zlib.error)


def read_file(source: Source, as_text: Collection[str] = ()) -> tuple[pa.Table, Texts]:
    """The table in `source.path` or `source.url`; `.gz`, `.zip`, `.bz2` and `.xz` around a CSV file are unpacked.

    And those columns of a CSV file named in `as_text` as they stand there, without nulls. Raises `BadData` for a file
    that is missing, forbidden or not of its format, `SourceUnreachable` for all else.
    """
    content = _fetch(source)
    if source.file_format is Format.PARQUET:
        return _from_parquet(content, _shown(source)), {}
    return _from_csv(content, source, as_text)


def _shown(source: Source) -> str:
    return masked(source.path or source.url or "")


def _fetch(source: Source) -> bytes:
    shown = _shown(source)
    try:
        return _read_bytes(source)
    except FileNotFoundError:
        raise BadData(f"there is no file {shown}: check data.source") from None
    except IsADirectoryError:
        raise BadData(f"{shown} is a folder: give one file in data.source") from None
    except PermissionError:
        raise BadData(f"{shown} may not be read by this user: change its rights, or give another file") from None
    except ImportError as error:
        raise BadData(f"{shown} needs a package that is not installed ({error}): install it beside Seatrial") from error
    except _DAMAGED as error:
        raise BadData(f"{shown} is not compressed as its name says, or damaged ({error}): fetch it again") from error
    except ValueError as error:
        raise BadData(f"{shown} cannot be opened ({_harmless(error, source)}): check data.source") from None
    # Every file system brings its own exceptions; a chained one would show the address with its secrets.
    except Exception as error:  # noqa: BLE001
        problem = f"{shown} does not answer ({_harmless(error, source)})"
        raise SourceUnreachable(f"{problem}: check the network and the rights, then run again") from None


def _read_bytes(source: Source) -> bytes:
    import fsspec

    compression = "infer" if source.file_format is Format.CSV else None
    if source.path is not None:
        opened: Any = fsspec.filesystem("file").open(source.path, "rb", compression=compression)
    else:
        opened = fsspec.open(source.url, "rb", compression=compression)
    with opened as file:
        content: bytes = file.read()
    return content


def _harmless(error: Exception, source: Source) -> str:
    text = without_secrets(str(error), source.path or source.url or "").strip()
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def _from_parquet(content: bytes, shown: str) -> pa.Table:
    import pyarrow.parquet as pq

    if not content:
        raise BadData(f"{shown} is empty: write it again")
    try:
        return pq.ParquetFile(pa.BufferReader(content)).read()  # read_table wants different names
    except (pa.ArrowException, OSError) as error:
        hint = "it looks like text: set data.source.format: csv" if _is_text(content) else "write it again"
        raise BadData(f"{shown} is no whole Parquet file ({str(error).splitlines()[0][:200]}): {hint}") from error


def _is_text(content: bytes) -> bool:
    try:
        return content[:1000].decode(errors="strict").isprintable() or b"\n" in content[:1000]
    except UnicodeDecodeError:
        return False


def _from_csv(content: bytes, source: Source, as_text: Collection[str]) -> tuple[pa.Table, Texts]:
    shown = _shown(source)
    if content.startswith(b"PAR1"):
        raise BadData(f"{shown} is a Parquet file, read as CSV: set data.source.format: parquet")
    content = _in_utf_8(content, source)
    try:
        table = _parse_csv(content, source, in_threads=True)
        columns = table.column_names
    except UnicodeDecodeError as error:
        raise BadData(f"{shown} is not UTF-8 text: save it as UTF-8, or set data.source.encoding") from error
    except pa.ArrowInvalid as error:
        raise BadData(f"{shown} cannot be read as CSV: {_csv_problem(error, content, source)}") from None
    _check_delimiter(columns, source.delimiter, shown)
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise BadData(
                f"{shown} is not UTF-8 text in column {field.name!r}: save it as UTF-8, or set data.source.encoding"
            )
    names = [name for name in dict.fromkeys(columns) if name in as_text]
    return table, _texts(content, source, names) if names else {}


def _in_utf_8(content: bytes, source: Source) -> bytes:
    if source.encoding in {"utf-8", "utf-8-sig"}:
        return content
    try:
        return content.decode(source.encoding).encode()
    except UnicodeError as error:
        problem = f"{_shown(source)} is not {source.encoding} text (at byte {getattr(error, 'start', 0):,})"
        raise BadData(f"{problem}: correct data.source.encoding") from None


def _texts(content: bytes, source: Source, names: Sequence[str]) -> Texts:
    from pyarrow import csv

    as_they_stand = csv.ConvertOptions(
        include_columns=list(names),
        column_types=dict.fromkeys(names, pa.large_string()),
        strings_can_be_null=False,
        quoted_strings_can_be_null=False,
        null_values=[],
    )
    table = _parse_csv(content, source, in_threads=True, convert=as_they_stand)
    return dict(zip(table.column_names, table.columns, strict=True))


def _parse_csv(content: bytes, source: Source, in_threads: bool, convert: Any = None) -> pa.Table:
    from pyarrow import csv

    if convert is None:
        convert = csv.ConvertOptions(strings_can_be_null=True, decimal_point=source.decimal)
        if source.nulls is not None:
            convert.null_values = list(source.nulls)
    # One block, so that the whole file decides what type a column has, not its first megabyte.
    return csv.read_csv(
        pa.BufferReader(content),
        read_options=csv.ReadOptions(block_size=min(len(content) + 1, _LONGEST_BLOCK), use_threads=in_threads),
        parse_options=csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True),
        convert_options=convert,
    )


def _csv_problem(error: pa.ArrowInvalid, content: bytes, source: Source) -> str:
    """What is wrong, but not the row, which may be personal. Only a second, serial reading knows its number."""
    if "Empty CSV" in str(error):
        return "it is empty, without even a line of column names"
    try:
        _parse_csv(content, source, in_threads=False)
    except pa.ArrowInvalid as serial:
        found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", str(serial))
        if found:
            columns = counted(int(found[3]), "column")
            return f"row {found[1]} has {columns} where the first line has {found[2]}: repair or quote it"
    return "its rows do not have one shape: check quotes and delimiters"


def _check_delimiter(columns: list[str], delimiter: str, shown: str) -> None:
    if len(columns) != 1:
        return
    rival = max((one for one in _DELIMITERS if one != delimiter), key=columns[0].count)
    if rival in columns[0]:
        raise BadData(
            f"{shown} has only one column when split at {delimiter!r}: set data.source.delimiter to {rival!r}"
        )
