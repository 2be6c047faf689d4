"""The build context of an image that holds one model: a few lines over the image that everything runs in."""

import shutil
from pathlib import Path
from typing import Final

# Where the servers of a cluster look for models, whether an init container put them there or this image.
MODELS: Final = "/models"
_DOCKERFILE: Final = f"""\
ARG BASE
FROM ${{BASE}}
COPY models {MODELS}
"""


def write_context(context: Path, product: str, version: int, model: Path) -> None:
    """Fills the empty folder `context`: the image will hold the folder `model` at /models/<product>/v<version>.

    Everybody may read the files there, whatever the umask of this process is, and nobody but root may write them.
    """
    (context / "Dockerfile").write_text(_DOCKERFILE)
    shutil.copytree(model, context / "models" / product / f"v{version}", copy_function=shutil.copyfile)
    for path in (context / "models", *(context / "models").rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
