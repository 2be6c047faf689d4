"""Cells of the data that a library quotes in what it says: they may be personal, and what it says is kept and shown.

scikit-learn's `could not convert string to float: 'Ann Smith'` would stand in MLflow, in Prefect's log and in the
journal. Names of columns stay.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

_HIDDEN: Final = "***"
_LONGEST_CHAIN: Final = 20


def hide_cells(error: BaseException, rows: "pd.DataFrame", target: Any = None) -> None:
    """Takes them out of the texts of `error` and of all that led to it, which a traceback shows with it."""
    seen: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if seen is None:
            return
        seen.args = tuple(without_cells(each, rows, target) if isinstance(each, str) else each for each in seen.args)
        seen = seen.__cause__ or seen.__context__


def without_cells(text: str, rows: "pd.DataFrame", target: Any = None) -> str:
    """`text` with `***` for each cell of `rows`, or of the column `target`, that it quotes."""
    if "'" not in text and '"' not in text:
        return text
    for cell in _texts(rows, target) - set(map(str, rows.columns)):
        for quoted in {repr(cell), f"'{cell}'", f'"{cell}"'}:
            text = text.replace(quoted, f"{quoted[0]}{_HIDDEN}{quoted[-1]}")
    return text


def _texts(rows: "pd.DataFrame", target: Any) -> set[str]:
    import pandas as pd

    columns = [rows[name] for name in rows.columns]
    if target is not None:
        columns.append(pd.Series(target))
    return {
        cell
        for column in columns
        if not pd.api.types.is_numeric_dtype(column)
        for cell in column.dropna().unique().tolist()
        if isinstance(cell, str)
    }
