"""The Dockerfile and its context, as far as they can be checked without building."""

import re

import pytest
import yaml

from tests.unit.infra.helm import CHART, MOST, ROOT, kinds

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCK = (ROOT / "requirements.lock").read_text()


def test_what_is_copied_is_there_and_let_through_into_the_context() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    for path in " ".join(copied).split():
        assert (ROOT / path).exists(), path
        assert any(path == each or path.startswith(f"{each}/") for each in let_through), path


def test_the_lines_of_uv_in_the_lock_are_a_requirements_file_of_their_own() -> None:
    found = re.search(r"^uv==.*?^ *# via", LOCK, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    assert re.findall(r"^\S+==", found[0], flags=re.MULTILINE) == ["uv=="]
    assert "--hash=sha256:" in found[0]


def test_every_module_that_is_imported_while_it_is_built_is_one() -> None:
    modules = re.findall(
        r'^    "((?:deployments|flows|tasks)[\w.]+)",$', (ROOT / "infra/image/imports.py").read_text(), re.M
    )
    assert modules
    for module in modules:
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), module


def test_it_runs_as_the_user_that_the_chart_demands_and_keeps_what_the_chart_mounts() -> None:
    assert "\nUSER 65532:65532\n" in DOCKERFILE
    home = re.search(r"HOME=(\S+) \\", DOCKERFILE)
    assert home is not None
    for each in kinds(MOST, "Deployment").values():
        spec = each["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsUser"] == 65532
        assert all(home[1] in {mount["mountPath"] for mount in one["volumeMounts"]} for one in spec["containers"])


@pytest.mark.parametrize("named", ["cluster", "server"])
def test_the_packages_that_only_an_image_has_are_locked(named: str) -> None:
    packages = re.search(rf"^{named} = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert packages is not None
    for package in re.findall(r'"([\w-]+)', packages[1]):
        assert re.search(rf"^{package}==", LOCK, flags=re.MULTILINE), package


def test_the_chart_expects_the_image_by_its_name() -> None:
    assert yaml.safe_load((CHART / "values.yaml").read_text())["image"]["repository"] == "seatrial"
