"""Which file a flow's parameter may name as a product's spec: one in the specs folder, for a spec says what is run.

Parameters come from whoever may start a run at Prefect. A person at the command line of this machine may name any file;
`any_file` says that one did.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from deployments.errors import BadInput
from tasks.spec_file import find_spec

_QUOTED = 80
_any_file: ContextVar[bool] = ContextVar("any_file", default=False)


@contextmanager
def any_file() -> Iterator[None]:
    """Whoever asks within the block is at this machine's command line, and may name any file."""
    before = _any_file.set(True)
    try:
        yield
    finally:
        _any_file.reset(before)


def asked_spec(product: str, folder: Path) -> Path:
    """The file of a product that a run was asked for. Raises `NotFound`, and `BadInput` for one outside `folder`."""
    return find_spec(product if _any_file.get() else within(product, folder), folder)


def within(product: str, folder: Path) -> str:
    """`product`, a name or the path of a YAML file, with no way out of `folder` in it but links that lie there.

    Raises `BadInput` for one outside.
    """
    is_path = Path(product).suffix in {".yaml", ".yml"}
    path = Path(product) if is_path else folder / product
    # As text first, for a link in the folder is its owner's own; no name of a file holds a NUL.
    ways = () if "\0" in product else (os.path.abspath(path), os.path.realpath(path))  # noqa: PTH100 - one follows no links
    for place in map(Path, ways):
        if place != folder and place.is_relative_to(folder):
            return str(place) if is_path else str(place.relative_to(folder))
    raise BadInput(
        f"{product[:_QUOTED]!r} is not in {folder}: a run takes specs from there only; put it there, "
        "or name it at the command line"
    )
