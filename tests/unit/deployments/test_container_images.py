"""Building images through programs that behave on their command lines as buildah and Docker do."""

import os
from pathlib import Path

import pytest

from deployments.container_images import find_builder, write_context
from deployments.container_images.builders import Buildah, Docker
from deployments.errors import BadInput, GiveUp

BUILDAH = """#!/bin/sh
echo "$@" >> "$HERE/asked"
case "$1" in
  build) test ! -e "$HERE/broken" || { echo "no such base" >&2; exit 125; }; echo "STEP 1/2: FROM";;
  inspect) echo sha256:here;;
  push) printf sha256:there > "$3";;
esac
"""
DOCKER = """#!/bin/sh
echo "$@" >> "$HERE/asked"
case "$1 $2 $4" in
  "image inspect {{.Id}}") echo sha256:here;;
  "image inspect "*) echo elsewhere.example/bikes@sha256:other; echo host.example:5000/bikes@sha256:there;;
esac
"""
TAG = "host.example:5000/bikes:v1"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH of this test's own; what its programs are asked stands in the file `asked`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HERE", str(tmp_path))
    return folder


def install(path: Path, name: str, script: str) -> None:
    (path / name).write_text(script)
    (path / name).chmod(0o755)


def test_buildah_is_taken_before_docker_and_docker_where_it_is_alone(path: Path) -> None:
    install(path, "docker", DOCKER)
    assert isinstance(find_builder(), Docker)
    install(path, "buildah", BUILDAH)
    assert isinstance(find_builder(), Buildah)


def test_without_a_builder_the_next_step_is_told(path: Path) -> None:
    with pytest.raises(BadInput, match=r"neither buildah nor docker is on the PATH: install one"):
        find_builder()


@pytest.mark.parametrize(("name", "script"), [("buildah", BUILDAH), ("docker", DOCKER)])
def test_the_digest_is_the_images_own_until_it_is_pushed_and_then_the_registrys(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str
) -> None:
    install(path, name, script)
    builder = find_builder()
    assert builder.build(tmp_path, TAG, "seatrial:1") == "sha256:here"
    assert builder.push(TAG, tmp_path) == "sha256:there"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == f"build --build-arg BASE=seatrial:1 --tag {TAG} {tmp_path}"


def test_the_builders_own_words_are_the_error(path: Path, tmp_path: Path) -> None:
    install(path, "buildah", BUILDAH)
    (tmp_path / "broken").touch()
    with pytest.raises(GiveUp, match=r"`buildah build --build-arg` failed: no such base"):
        find_builder().build(tmp_path, TAG, "seatrial:1")


def test_an_image_that_docker_does_not_name_after_the_push_is_not_called_pushed(path: Path, tmp_path: Path) -> None:
    install(path, "docker", DOCKER)
    with pytest.raises(GiveUp, match="does not say which digest it has"):
        find_builder().push("third.example/bikes:v1", tmp_path)


def test_the_context_holds_the_model_where_servers_look_for_it_and_anybody_may_read_it(tmp_path: Path) -> None:
    model, context = tmp_path / "model", tmp_path / "context"
    (model / "model").mkdir(parents=True)
    (model / "model" / "model.skops").write_text("weights")
    (model / "model" / "model.skops").chmod(0o600)
    context.mkdir()
    former = os.umask(0o077)
    try:
        write_context(context, model)
    finally:
        os.umask(former)
    copied = context / "model" / "model" / "model.skops"
    assert copied.read_text() == "weights"
    assert copied.stat().st_mode & 0o777 == 0o644
    assert {path.stat().st_mode & 0o777 for path in copied.parents if path.is_relative_to(context / "model")} == {0o755}
    assert (context / "Dockerfile").read_text().splitlines() == [
        "ARG BASE", "FROM ${BASE}", "COPY model /opt/seatrial/model"
    ]  # fmt: skip
