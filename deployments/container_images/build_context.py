"""The build context of an image that holds one model: a few lines over the image that everything runs in."""

import shutil
from pathlib import Path
from typing import Final

# Where model servers of a cluster look for a model that came with their image.
BAKED: Final = "/opt/seatrial/model"
_DOCKERFILE: Final = f"""\
ARG BASE
FROM ${{BASE}}
COPY model {BAKED}
"""


def write_context(context: Path, model: Path) -> None:
    """Fills the empty folder `context`: the image will hold the model folder `model`.

    Everybody may read the files there, whatever the umask of this process is, and nobody but root may write them.
    """
    (context / "Dockerfile").write_text(_DOCKERFILE)
    copy = Path(shutil.copytree(model, context / "model", copy_function=shutil.copyfile))
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
