"""Making Prefect know the flows: those of prefect.yaml, and a release for each product.

Flows of the shipped prefect.yaml name no product: forms of a project with one product begin with it.
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

from deployments.errors import BadInput, PlatformUnreachable
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.environment import environment_with_password
from deployments.settings import Settings

# In a checkout, else in the environment (an image of Seatrial has it there).
_SHIPPED: Final = next(
    filter(Path.is_file, (Path(__file__).parents[2] / "prefect.yaml", Path(sys.prefix) / "prefect.yaml")),
    Path(sys.prefix) / "prefect.yaml",
)
_SHOWN: Final = 600


@contextmanager
def start_deploying(settings: Settings, addresses: Addresses) -> Iterator[Callable[[], bool]]:
    """Deploys in a process of its own; what is given says whether it is done, and raises `PlatformUnreachable`."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.entrypoints.runner.deploy_flows", "--changed"],
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


def flows_of(settings: Settings) -> dict[str, Any]:
    """The project's own prefect.yaml; where there is none, the shipped one with the only product of this project.

    Raises `BadInput` for one that is no list of deployments.
    """
    own = settings.project / "prefect.yaml"
    if own.resolve() == _SHIPPED or not own.is_file():
        document = yaml.safe_load(_SHIPPED.read_text(encoding="utf-8"))
        return _with_only_product(document, products_in(settings.specs_folder))
    try:
        document = yaml.safe_load(own.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{own} cannot be read ({error}): correct it, or remove it to have Seatrial's own") from None
    if not isinstance(document, dict) or not isinstance(document.setdefault("deployments", []), list):
        raise BadInput(f"{own} has no list of deployments: correct it, or remove it to have Seatrial's own")
    return document


def products_in(specs: Path) -> tuple[str, ...]:
    """Names by which the specs of a folder are found, in alphabetical order."""
    return tuple(sorted({path.stem for path in (*specs.glob("*.yaml"), *specs.glob("*.yml"))}))


def _with_only_product(document: dict[str, Any], products: Sequence[str]) -> dict[str, Any]:
    for deployment in document["deployments"]:
        deployment["parameters"] = {"request": {"product": products[0]}} if len(products) == 1 else {}
    return document


def _is_done(process: subprocess.Popen[str], said: IO[str]) -> bool:
    code = process.poll()
    if code:
        said.seek(0)
        raise PlatformUnreachable(f"the flows were not deployed: {said.read().strip()[-_SHOWN:]}")
    return code is not None
