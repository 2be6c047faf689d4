"""What README.md, CONTRIBUTING.md and docs/architecture.md claim of the tree and its commands."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from deployments.errors import SeatrialError
from deployments.rollout.state import MOVES, Phase
from tests.architecture.test_documentation import rows
from tests.docs.claims import claim
from tests.docs.pages import ROOT, blocks, text_of
from tests.docs.test_names import FOLDERS, TRACKED
from tests.unit.flows.conftest import Seatrial

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def recipe(target: str) -> str:
    """What `make target` runs."""
    (found,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.MULTILINE)
    return str(found)


@claim(
    "CONTRIBUTING.md",
    "make check    # format, lint, types, import contracts, spelling, the commands in the pages",
    "make format   # let ruff write",
    "make test-clients   # Triton's and KServe's clients against a model server, from an environment of theirs",
    "make test-execution # fits on clusters of Dask and of Ray, from an environment with both",
    "make test-browser   # what web pages of other people try, in a real Chromium (Debian's package chromium)",
    "half an hour; part of test-hostile",
    "make test-cluster   # on a real Kubernetes cluster, by KUBECONFIG: see docs/kubernetes.md",
)
def test_the_targets_do_what_is_written_beside_them() -> None:
    checked = ("ruff format --check", "ruff check", "mypy", "lint-imports", "codespell", "documented_commands")
    assert all(part in recipe("check") for part in checked)
    assert "ruff format ." in recipe("format")
    for target, folder in {"clients": "clients", "execution": "execution", "cluster": "cluster"}.items():
        assert recipe(f"test-{target}").split()[-1] == f"tests/{folder}"
    assert "tests/e2e/test_web_pages.py" in recipe("test-browser")
    assert all(word.startswith("tests/hostile/") for word in recipe("test-fuzz").split() if word.startswith("tests/"))
    assert "-m hostile tests/hostile\n" in recipe("test-hostile")


@claim("README.md", "make test    # every test")
@claim(
    "CONTRIBUTING.md",
    "`.ci/run` runs `make check` and `make test` on the oldest Python and every sixth unit test on the newest that is "
    "there, and is what has to pass before a change lands.",
)
def test_make_test_runs_every_folder_of_tests() -> None:
    ran = set(re.findall(r"tests/\w+", recipe("test")))
    apart = {"tests/clients", "tests/execution", "tests/cluster", "tests/fakes"}
    assert ran == {name for name in FOLDERS if re.fullmatch(r"tests/\w+", name)} - apart
    ran = re.findall(r'^ *make ([\w-]+) PYTHON="\$(\w+)"( EVERY=6)?$', (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert ran == [("check", "oldest", ""), ("test-unit", "newest", " EVERY=6"), ("test", "oldest", "")]


@claim(
    "README.md",
    "You need Linux, Python 3.11 to 3.13 and `make`.",
    "Each command sets up `.venv` from the lock file first;",
)
@claim("CONTRIBUTING.md", "you need Python 3.11 to 3.13 with pip, and Linux.")
def test_every_target_sets_up_the_environment_for_those_pythons() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)) - {"help", "clean"}
    prepared = set(re.findall(r"^([a-z-]+): \$\((?:READY|EXECUTION)\)", MAKEFILE, flags=re.MULTILINE))
    assert targets == prepared


@claim("CONTRIBUTING.md", "A single test file: `.venv/bin/python -m pytest tests/unit/tasks/test_spec_file.py`.")
def test_a_single_file_of_tests_is_found() -> None:
    alone = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/unit/tasks/test_spec_file.py"]
    assert subprocess.run(alone, cwd=ROOT, capture_output=True, check=False).returncode == 0


@claim("CONTRIBUTING.md", "then `seatrial schema > docs/spec.schema.json`, then `docs/spec.md`.")
@claim("docs/cli.md", "| `schema` | | prints the JSON schema of a spec |")
def test_the_schema_that_is_kept_is_the_one_that_is_printed(
    alone: Seatrial, capsys: pytest.CaptureFixture[str]
) -> None:
    assert alone("schema") == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "spec.schema.json").read_text()


@claim("CONTRIBUTING.md", "No `utils`, `helpers`, `common`.")
@claim("docs/architecture.md", "No gerunds, no moods, nothing of `utils`.")
def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [
        name for name in TRACKED if Path(name).stem in {"util", "utils", "helper", "helpers", "common", "misc"}
    ] == []


@claim("CONTRIBUTING.md", "Errors come from the tree in `deployments/errors.py`.")
@claim("docs/architecture.md", "| `errors.py` | the whole tree of errors, with the exit code of each |")
def test_the_tree_of_errors_is_one_module() -> None:
    import deployments.errors as tree

    raised = {kind for kind in vars(tree).values() if isinstance(kind, type) and issubclass(kind, SeatrialError)}
    assert all(kind.exit_code in {1, 2, 3, 4, 5, 130} for kind in raised)


@claim(
    "CONTRIBUTING.md",
    "In-memory doors instead of mocks; no real sleeps in unit tests; warnings are errors.",
    "Hypothesis tries the same examples in every run; `--hypothesis-profile=exploring` looks for new ones.",
)
def test_tests_are_kept_so() -> None:
    assert PROJECT["tool"]["pytest"]["ini_options"]["filterwarnings"] == ["error"]
    assert [name for name in TRACKED if name.startswith("tests/") and "unittest.mock" in _imports(name)] == []
    from hypothesis import settings

    assert settings.get_profile("steady").derandomize
    assert not settings.get_profile("exploring").derandomize


def _imports(name: str) -> set[str]:
    if not name.endswith(".py"):
        return set()
    nodes = ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8")))
    return {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


@claim("README.md", "Of a spec, `monitoring.labels_after` is taken and read by nothing yet.")
@claim("docs/spec.md", "kept for monitoring, which is not there yet: nothing reads it |")
def test_nothing_reads_what_monitoring_will() -> None:
    readers = [name for name in TRACKED if re.match(r"(flows|tasks|deployments)/.*\.py$", name)]
    assert [name for name in readers if ".labels_after" in (ROOT / name).read_text()] == []


@claim("README.md", "Seatrial: [MIT](LICENSE).", "flights CC0, bikeshare CC BY 4.0 (Fanaee-T and Gama, 2013);")
def test_licences_are_those_of_the_readme() -> None:
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    sources = text_of("data/README.md")
    assert all(said in sources for said in ("CC0", "CC BY 4.0", "Fanaee-T"))


@claim("docs/architecture.md", "Read the three folder listings from top to bottom and you know the system.")
def test_the_listings_of_flows_and_deployments_have_every_folder_and_module_of_flows() -> None:
    page = text_of("docs/architecture.md")
    for folder in ("flows", "deployments"):
        inside = [Path(name).name for name in sorted(FOLDERS) if re.fullmatch(rf"{folder}/\w+", name)]
        listing = page.partition(f"## {folder}: ")[2].partition("\n## ")[0]
        assert [name for name in inside if f"`{name}/" not in listing] == []
    modules = {Path(name).name for name in TRACKED if re.fullmatch(r"flows/[a-z]\w+\.py", name)}
    assert {row[0].strip("`") for row in rows(ROOT / "docs/architecture.md", "module") if "/" not in row[0]} == modules


@claim("docs/architecture.md", "| folder | what it holds |")
def test_the_listing_of_tasks_has_every_folder_and_no_other() -> None:
    listed = {row[0].strip("`/") for row in rows(ROOT / "docs" / "architecture.md", "folder")}
    assert listed == {Path(name).name for name in FOLDERS if re.fullmatch(r"tasks/\w+", name)}


@claim(
    "docs/architecture.md",
    "Each door has a protocol, its real implementation, and an in-memory one that is part of the product.",
)
@pytest.mark.parametrize("door", ["routers", "targets", "metrics", "journals"])
def test_each_door_has_the_implementations_that_the_page_lists(door: str) -> None:
    (row,) = (row for row in rows(ROOT / "docs/architecture.md", "folder or module") if row[0] == f"`{door}/`")
    named = re.findall(r"`(\w+)`", row[1])
    assert {"protocol", "in_memory"} <= set(named)
    there = {Path(name).stem for name in TRACKED if name.startswith(f"deployments/{door}/")}
    there |= {Path(name).name for name in FOLDERS if name.startswith(f"deployments/{door}/")}
    assert [name for name in named if name not in there] == []


@claim(
    "docs/architecture.md",
    "(no data to be trusted: weights stand, the clock is stopped)",
    "from every one of them: harm, a failed step, an abort, a cancelled run",
)
def test_the_picture_of_the_phases_is_their_table() -> None:
    (picture,) = (block.text for block in blocks("docs/architecture.md") if "observing" in block.text)
    assert {phase.value for phase in Phase} == set(re.findall(r"[a-z_]+", picture)) & {phase.value for phase in Phase}
    for live in (Phase.RUNNING, Phase.OBSERVING, Phase.HOLDING, Phase.WAITING, Phase.PAUSED):
        assert Phase.RESTORING in MOVES[live]
    assert Phase.ROLLED_BACK in MOVES[Phase.RESTORING]
    assert MOVES[Phase.DONE] == MOVES[Phase.ROLLED_BACK] == frozenset()


@claim("README.md", "`flows/` says when, `tasks/` says what, `deployments/` says how.")
@claim("docs/architecture.md", "Imports only point downwards, and `make check` holds that (the contracts stand in")
def test_the_layers_are_in_the_contracts() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    assert contracts[0]["layers"] == ["flows", "tasks", "deployments"]
    assert "lint-imports" in recipe("check")
    (inside,) = (each for each in contracts if each.get("containers") == ["deployments"])
    assert inside["exhaustive"], "a new folder has to take its place"


@claim("docs/settings.md", 'Lists are written as JSON: `SEATRIAL_ALLOWED_PACKAGES=\'["sklearn", "lightgbm"]\'`.')
@claim(
    "docs/settings.md",
    "| `SEATRIAL_TRAINING_MEMORY_MB` | `8192` | memory that a training may take beyond what is in use at its start; "
    "at least 256; Linux only |",
)
@claim("docs/settings.md", "days (1–3650) after an answer in which feedback on it is taken;")
@claim("docs/settings.md", "most values of feedback that are kept of one product; at least 1000 |")
@claim("docs/settings.md", "with a server (`http…`), `seatrial up` starts no MLflow of its own |")
def test_settings_are_read_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments.settings import Settings

    monkeypatch.setenv("SEATRIAL_ALLOWED_PACKAGES", '["sklearn", "lightgbm"]')
    assert Settings().allowed_packages == ("sklearn", "lightgbm")
    for name, least, most in (
        ("training_memory_mb", 256, None),
        ("feedback_days", 1, 3650),
        ("feedback_values", 1000, None),
    ):
        for value, good in ((least, True), (least - 1, False), *(((most, True), (most + 1, False)) if most else ())):
            monkeypatch.setenv(f"SEATRIAL_{name.upper()}", str(value))
            if good:
                assert getattr(Settings(), name) == value
            else:
                with pytest.raises(ValueError, match=name):
                    Settings()
        monkeypatch.delenv(f"SEATRIAL_{name.upper()}")
    monkeypatch.setenv("SEATRIAL_TRACKING_URI", "http://mlflow.example:5000")
    assert not Settings().has_own_mlflow


@claim("docs/settings.md", "Every one has a default, and there are no others for you to set")
def test_no_other_variable_is_a_persons_to_set() -> None:
    from deployments.settings import Settings

    assert Settings()
    source = "".join(
        (ROOT / name).read_text() for name in TRACKED if re.match(r"(flows|tasks|deployments)/.*\.py$", name)
    )
    others = set(re.findall(r'"(SEATRIAL_[A-Z_]+)"', source)) - {
        f"SEATRIAL_{name.upper()}" for name in Settings.model_fields
    }
    of_supervision = {"SEATRIAL_SUPERVISOR", "SEATRIAL_PROGRAM", "SEATRIAL_TAKES_OVER"}
    of_servers = {"SEATRIAL_REMAINS", "SEATRIAL_REQUESTS_KEY", "SEATRIAL_RUN_PROOF", "SEATRIAL_GATEWAY_PROOF"}
    of_pods = {"SEATRIAL_MODEL_DIGEST", "SEATRIAL_MODEL_BYTES"}
    assert others == of_supervision | of_servers | of_pods


@claim(
    "docs/execution.md",
    "`pip install 'seatrial[dask]'` or `'seatrial[ray]'` where it is trained; the base installation has neither.",
)
@claim("docs/serving.md", "`pip install 'seatrial[otel]'`: one span a prediction")
def test_the_extras_of_the_pages_are_there() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    named = {
        name
        for page in ("execution", "serving", "kubernetes")
        for name in re.findall(r"seatrial\[(\w+)\]", text_of(f"docs/{page}.md"))
    }
    assert named == set(extras)
    base = " ".join(PROJECT["project"]["dependencies"])
    assert not re.search(r"\b(dask|distributed|ray)\b", base)


@claim(
    "docs/kubernetes.md",
    "`tests/cluster/conftest.py` says what else may be given: how the API server is stopped, how a node is ended.",
)
def test_the_cluster_of_the_tests_is_named_by_the_variables_of_the_page() -> None:
    named = set(re.findall(r"SEATRIAL_TEST_\w+", text_of("docs/kubernetes.md")))
    assert named <= set(re.findall(r"SEATRIAL_TEST_\w+", (ROOT / "tests/cluster/conftest.py").read_text()))
    assert yaml.safe_load((ROOT / "infra/chart/Chart.yaml").read_text())["name"] == "seatrial"
