"""`python -m deployments.registry.fetching`: puts a model version into a folder and proves every byte of it.

For an init container: the server beside it loads what lies there. Ends with the exit code of `deployments.errors`; 5
says that the registry did not answer, and that the same call may succeed later.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deployments.errors import SeatrialError
from deployments.registry.registry import ModelRegistry
from deployments.settings import current


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches and says where the model folder is; the exit code."""
    options = _parse(arguments)
    try:
        folder = ModelRegistry(current().mlflow_uri).fetch(options.product, options.version, options.into)
    except SeatrialError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the program's log
        return error.exit_code
    print(folder, flush=True)  # noqa: T201 - its result
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.registry.fetching", description="Fetches one version of a model from the registry."
    )
    parser.add_argument("--product", required=True, help="name of the product")
    parser.add_argument("--version", type=int, required=True, help="version of the model")
    parser.add_argument(
        "--into", type=Path, required=True, help="folder; the model comes to <product>/v<version> in it"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
