"""buildah or Docker: one command line each, and how each says which digest came out."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from deployments.errors import BadInput, GiveUp

_TOLD: Final = 600


class Builder(Protocol):
    """Builds and pushes images."""

    def build(self, context: Path, tag: str, base: str) -> str:
        """The digest of the image `tag` made from the Dockerfile in `context`; `base` is its build argument BASE.

        It is that of the image as it lies here; a registry may give it another. Raises `GiveUp` with the builder's own
        last words.
        """
        ...

    def push(self, tag: str, scratch: Path) -> str:
        """Send an image to the registry that its tag names; the digest by which it can be pulled from there.

        `scratch` is an empty folder. Raises `GiveUp` with the builder's own last words.
        """
        ...


def find_builder() -> Builder:
    """The builder that is on the PATH, buildah before Docker. Raises `BadInput` if there is none."""
    if found := shutil.which("buildah"):
        return Buildah(found)
    if found := shutil.which("docker"):
        return Docker(found)
    raise BadInput("neither buildah nor docker is on the PATH: install one of them to build images")


@dataclass(frozen=True, slots=True)
class Buildah:
    """See `Builder`. The program needs no daemon."""

    program: str

    def build(self, context: Path, tag: str, base: str) -> str:
        """See `Builder`."""
        _run(self.program, "build", "--build-arg", f"BASE={base}", "--tag", tag, str(context))
        return _run(self.program, "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", tag)

    def push(self, tag: str, scratch: Path) -> str:
        """See `Builder`."""
        digest = scratch / "digest"
        _run(self.program, "push", "--digestfile", str(digest), tag)
        return digest.read_text().strip()


@dataclass(frozen=True, slots=True)
class Docker:
    """See `Builder`. Its daemon must run."""

    program: str

    def build(self, context: Path, tag: str, base: str) -> str:
        """See `Builder`."""
        _run(self.program, "build", "--build-arg", f"BASE={base}", "--tag", tag, str(context))
        return _run(self.program, "image", "inspect", "--format", "{{.Id}}", tag)

    def push(self, tag: str, scratch: Path) -> str:
        """See `Builder`."""
        _run(self.program, "push", tag)
        told = _run(self.program, "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", tag)
        repository = tag.rpartition(":")[0] if ":" in tag.rpartition("/")[2] else tag
        digests = dict(line.split("@", 1) for line in told.split())
        if repository not in digests:
            raise GiveUp(f"docker pushed {tag} and does not say which digest it has: push it again")
        return digests[repository]


def _run(*command: str) -> str:
    """What a program printed. Raises `GiveUp` with the end of what it complained of."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise GiveUp(f"{command[0]} cannot be started ({error.strerror}): check its installation") from None
    if done.returncode != 0:
        raise GiveUp(f"`{_shown(command)}` failed: {(done.stderr or done.stdout).strip()[-_TOLD:]}")
    return done.stdout.strip()


def _shown(command: Sequence[str]) -> str:
    return " ".join((Path(command[0]).name, *command[1:3]))
