"""Every command of a page is typed by a test, or has a reason why not."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest

from tests.docs.claims import claim
from tests.docs.pages import DECISIONS, PAGES, ROOT, Command, commands
from tests.docs.terminal import Terminal
from tests.model_folder import write_model_folder
from tests.ports import free_port

# By page and by how a command begins: why no test types it. All others of a page are typed, in their order, by the test
# that reads `typed(page)`.
NOT_TYPED = {
    "README.md": {
        "make test": "it is what runs the tests",
        "make install": "CI sets up the environment of the tests by it (.ci/run, through make check)",
        "make demo": "three minutes; each of its releases is one of tests/e2e/test_rollouts.py",
        "seatrial release flights": "the demo's first step; docs/operations.md has it typed",
        "seatrial profile delivery": "the same as in docs/your-own-model.md, where it is typed",
        "seatrial up": "likewise",
        "seatrial release delivery": "likewise",
        "curl -s http://127.0.0.1:8080/delivery": "likewise",
    },
    "CONTRIBUTING.md": {
        "make check": "CI runs it (.ci/run); it changes the time stamps of the tree that is tested",
        "make": "its recipe is read instead: tests/docs/test_project.py",
    },
    "docs/execution.md": {"export DASK": "yours; what Dask makes of such files: tests/execution/test_encryption.py"},
    "docs/kubernetes.md": {
        "export": "places of a cluster of yours; tests/docs/test_project.py compares the names",
        "seatrial release flights": "needs a cluster: tests/cluster, and on a fake one tests/contracts/kubernetes",
        "seatrial image": "needs a builder of images: tests/unit/flows/test_container_images.py has a fake one",
        "make test-cluster": "needs a cluster",
        "docker build": "needs Docker; tests/unit/infra reads the Dockerfile",
        "kubectl": "needs a cluster",
        "seatrial deploy": "needs a cluster; tests/contracts/test_prefect_deployments.py has a Prefect",
        "helm install": "needs a cluster; tests/docs/test_kubernetes.py renders the chart with these very values",
        "PREFECT_API_URL": "needs the chart's Prefect; test_kubernetes.py holds its words against prefect.yaml",
        "pip install": "installs from a registry; test_kubernetes.py holds the extra against pyproject.toml",
        "prefect": "needs a cluster; test_kubernetes.py holds the pool and its template against the chart",
    },
    "docs/gateway.md": {
        "seatrial key": "tests/unit/deployments/local_platform/test_public_gateway.py gives each of them",
    },
    "docs/ci.md": {
        "seatrial ci": "needs a branch; tests/unit/flows/test_ci.py and tests/unit/infra/test_ci_pipelines.py have one",
        "seatrial webhook": "needs a platform elsewhere; tests/unit/infra/test_ci_pipelines.py types both",
    },
    "docs/security.md": {
        "make test-browser": "needs a Chromium; a sample of it is in make test",
        "sudo": "needs root; in make test where there is one",
    },
    "docs/events.md": {
        "seatrial events": "tests/unit/flows/test_event_commands.py gives each; nothing is sent to that receiver",
    },
    "docs/triggers.md": {
        "seatrial apply": "needs Prefect; tests/contracts/test_prefect_deployments.py does the same",
        "seatrial webhook": "tests/unit/flows/test_webhook_commands.py gives each of them, where a gateway is played",
    },
}


def typed(page: str) -> Iterator[Command]:
    """What a test types of a page."""
    unfit = tuple(NOT_TYPED.get(page, {}))
    return (each for each in commands(page) if not (unfit and each.text.startswith(unfit)))


def test_every_command_is_typed_by_a_test_or_has_a_reason() -> None:
    read = {page for path in ROOT.glob("tests/**/test_*.py") for page in _typed_in(path)}
    assert {page for page in (*PAGES, *DECISIONS) if list(typed(page))} == read


def _typed_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "typed":
            yield from (str(page.value) for page in node.args if isinstance(page, ast.Constant))


@pytest.mark.parametrize("page", NOT_TYPED)
def test_every_reason_is_of_a_command_that_is_there(page: str) -> None:
    texts = [each.text for each in commands(page)]
    assert [begins for begins in NOT_TYPED[page] if not any(text.startswith(begins) for text in texts)] == []
    tests = {name for why in NOT_TYPED[page].values() for name in re.findall(r"tests/[\w/]+(?:\.py)?", why)}
    assert [name for name in tests if not (ROOT / name).exists()] == []


def test_commands_are_found_with_their_lines_and_answers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shell = "```bash\nseatrial up   # a comment\necho '[1,\n 2]' |\n  cat\n```\n\n```\n[1,\n 2]\n```\n"
    session = "```\n$ cat <<END\na\nEND\na\n$ true\n```\n"
    page.write_text(f"# One\n{shell}## Two\n{session}```\nno answer of a command\n```\n")
    assert [(each.text, each.answer.strip()) for each in commands(str(page))] == [
        ("seatrial up", ""),
        ("echo '[1,\n 2]' |\n  cat", "[1,\n 2]"),
        ("cat <<END\na\nEND", "a"),
        ("true", ""),
    ]


@claim(
    "docs/serving.md",
    "The examples were run against one server, started by hand. The model is a small one of flights, with two numbers "
    "and "
    "a category:",
    "MLflow's own client, `mlflow.pyfunc.scoring_server.client.ScoringServerClient`, gets the same; so does "
    '`json.dumps({"dataframe_split": frame.to_dict(orient="split")})`, in which Python writes `NaN` for what is '
    "missing.",
)
def test_the_examples_of_serving_get_the_answers_that_the_page_shows(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own types
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    start, *rest = typed("docs/serving.md")
    port = free_port()
    model = write_model_folder(tmp_path / "model")
    terminal = Terminal(tmp_path, {"9000": str(port), "FOLDER": str(model)})
    server = terminal.start(start.text)
    try:
        assert server.stdout is not None
        assert any(json.loads(line)["event"] == "ready" for line in server.stdout)
        for each in rest:
            told = terminal.type(each.text)
            assert told.returncode == 0, told.stderr
            if each.answer:
                assert json.loads(told.stdout) == json.loads(each.answer)
            assert "error" not in told.stdout
        client = ScoringServerClient("127.0.0.1", port)
        frame = pd.DataFrame({"distance": [1400, 740], "hour": [17, float("nan")], "carrier": ["UA", "B6"]})
        (shown,) = (json.loads(each.answer) for each in rest if "text/csv" in each.text)
        assert json.loads(client.invoke(frame).to_json()) == shown
        body = json.dumps({"dataframe_split": frame.to_dict(orient="split")})
        asked = httpx.post(f"http://127.0.0.1:{port}/invocations", content=body, trust_env=False)
        assert asked.json() == shown
    finally:
        server.terminate()
        server.communicate(timeout=60)
