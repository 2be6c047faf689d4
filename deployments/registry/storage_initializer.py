"""`python -m deployments.registry.storage_initializer`: puts a model version into a folder and proves every byte of it.

For an init container: the server beside it loads what lies there. It is told by its Deployment, whose writer proved the
version's seal, which files they are, and needs no key; without that it proves the seal itself. It ends with the exit
code of `deployments.errors`; 5 says that the registry did not answer, and that the same call may succeed later.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deployments.errors import SeatrialError
from deployments.model_manifest import BYTES_VARIABLE, DIGEST_VARIABLE
from deployments.registry.mlflow_registry import ModelRegistry
from deployments.settings import current

_MOST_BYTES: Final = 16_000_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches and says where the model folder is; the exit code."""
    options = _parse(arguments)
    try:
        folder = _fetch(options)
    except SeatrialError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the program's log
        return error.exit_code
    print(folder, flush=True)  # noqa: T201 - its result
    return 0


def _fetch(options: argparse.Namespace) -> Path:
    registry = ModelRegistry(current().mlflow_uri, current().keys_folder)
    if not options.digest:
        return registry.fetch(options.product, options.version, options.into)
    return registry.fetch_pinned(options.product, options.version, options.digest, options.most_bytes, options.into)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.registry.storage_initializer",
        description="Fetches one version of a model from the registry.",
    )
    parser.add_argument("--product", required=True, help="name of the product")
    parser.add_argument("--version", type=int, required=True, help="version of the model")
    parser.add_argument(
        "--into", type=Path, required=True, help="folder; the model comes to <product>/v<version> in it"
    )
    parser.add_argument(
        "--digest",
        default=os.environ.get(DIGEST_VARIABLE, ""),
        help=f"of the files that were judged; by default ${DIGEST_VARIABLE}, else the version's seal must be proved",
    )
    parser.add_argument(
        "--most-bytes",
        type=int,
        default=os.environ.get(BYTES_VARIABLE, _MOST_BYTES),
        help=f"how much the files may hold; by default ${BYTES_VARIABLE}, else {_MOST_BYTES}",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
