"""Making Prefect know the flows: by the project's own prefect.yaml, or by the one that came with Seatrial.

The latter names a product of Seatrial's own project. In another folder the forms get what lies there.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import yaml

from deployments.atomic_files import write_atomically
from deployments.errors import PlatformUnreachable
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.environment import environment_with_password
from deployments.settings import Settings

_SHIPPED: Final = Path(__file__).parents[2] / "prefect.yaml"
# What a schedule may begin without anybody who says of which product; an order must name its product.
_SCHEDULED: Final = frozenset({"release"})
_SHOWN: Final = 600


@contextmanager
def start_deploying(settings: Settings, addresses: Addresses) -> Iterator[Callable[[], bool]]:
    """Deploys in a process of its own; what is given says whether it is done, and raises `PlatformUnreachable`."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*command, str(prefect_file(settings))],
            env=os.environ | environment_with_password(settings, addresses),
            cwd=settings.project,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield lambda: _is_done(process, said)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def prefect_file(settings: Settings) -> Path:
    """The project's own prefect.yaml; where there is none, the shipped one with the products of this project."""
    own = settings.project / "prefect.yaml"
    if own.is_file():
        return own
    products = products_in(settings.specs_folder)
    document = with_products(yaml.safe_load(_SHIPPED.read_text(encoding="utf-8")), products)
    place = settings.home.resolve() / "prefect" / "prefect.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, yaml.safe_dump(document, sort_keys=False).encode())
    return place


def products_in(specs: Path) -> tuple[str, ...]:
    """Names by which the specs of a folder are found, in alphabetical order."""
    return tuple(sorted({path.stem for path in (*specs.glob("*.yaml"), *specs.glob("*.yml"))}))


def with_products(document: dict[str, Any], products: Sequence[str]) -> dict[str, Any]:
    """`document`, a prefect.yaml, whose forms begin with a product of `products`: the only one, or none.

    The release, which a schedule may begin, has the first of several.
    """
    for deployment in document["deployments"]:
        request = deployment["parameters"]["request"]
        del request["product"]
        if products and (len(products) == 1 or deployment["name"] in _SCHEDULED):
            request["product"] = products[0]
        if not request:
            deployment["parameters"] = {}
    return document


def _is_done(process: subprocess.Popen[str], said: IO[str]) -> bool:
    code = process.poll()
    if code:
        said.seek(0)
        raise PlatformUnreachable(f"the flows were not deployed: {said.read().strip()[-_SHOWN:]}")
    return code is not None
