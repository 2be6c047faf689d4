"""Names and lists in the pages are those of the code: paths, commands, fields, variables, deployments, metrics."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import TypeAdapter

from deployments.rollout.operator_commands import Verb
from deployments.serving.inference_log.buffer import InferenceLog, Reason
from deployments.settings import Settings
from deployments.spec import Strategy
from flows.entrypoints.cli.inference_log import LogFormat
from flows.entrypoints.cli.main import app
from flows.parameters import SteerRequest
from tasks.product_spec import ProductSpec
from tests.architecture.test_documentation import FIELDS, rows, table
from tests.docs.pages import DECISIONS, PAGES, ROOT, Block, blocks, code_in, prose, text_of
from tests.unit.deployments.serving.test_management_api import Caller

FLIGHTS = yaml.safe_load((ROOT / "specs" / "flights.yaml").read_text())
TRACKED = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split()  # noqa: S607
FOLDERS = {str(parent) for name in TRACKED for parent in Path(name).parents}
# Files that a page names and that are no files of this repository.
THEIRS = {
    "make_orders.py": "a reader makes it",
    "my_models.py": "a reader makes it",
    "specs/delivery.yaml": "a reader makes it",
    "specs/delivery.suite.json": "a reader makes it",
    "platform.json": "lies in a home",
    "up.lock": "lies in a home",
    "gateway.lock": "lies in a home",
    "spec.json": "lies at MLflow",
    "verification.json": "lies at MLflow",
    "/openapi.json": "a server answers it",
    "/seatrial/api/v1/openapi.json": "the control service answers it",
    "models/PRODUCT/vN.started.json": "lies in a home",
    "uv.lock": "what the decision is against",
    "tasks/rollouts/keeping.py": "what the decision did away with",
}


def commands_of_the_command_line() -> set[str]:
    root: Any = typer.main.get_command(app)
    return set(root.commands)


@pytest.mark.parametrize("page", [*PAGES, *DECISIONS])
def test_every_file_and_folder_that_a_page_names_is_there(page: str) -> None:
    named = {word.strip(",;:") for code in code_in(page) for word in code.split()}
    files = {word for word in named if re.fullmatch(r"[\w./-]+\.(?:py|md|js|toml|yaml|json|lock|svg)", word)}
    folders = {word for word in named if word.split("/")[0] in FOLDERS and re.fullmatch(r"\w+/[\w./-]*", word)}
    gone = {word for word in files - set(THEIRS) if not any(f"/{name}".endswith(f"/{word}") for name in TRACKED)}
    assert gone | {word for word in folders if word.rstrip("/") not in {*FOLDERS, *TRACKED, *THEIRS}} == set()


@pytest.mark.parametrize("page", [*PAGES, *DECISIONS])
def test_every_field_of_a_spec_that_a_page_names_is_one(page: str) -> None:
    known = {path for path, _, _ in FIELDS}
    sections = "|".join({path for path in known if "." not in path})
    named = {name for code in code_in(page) for name in re.findall(rf"^(?:{sections})(?:\.[a-z_]+)+(?=$|:)", code)}
    named = {name for name in named if not name.endswith((".py", ".html"))}
    assert named - known == set()


def test_every_variable_that_a_page_names_is_read() -> None:
    settings = {f"SEATRIAL_{name.upper()}" for name in Settings.model_fields}
    program = "".join(
        (ROOT / name).read_text("utf-8") for name in TRACKED if re.match(r"(?!tests/docs)\w+/.*\.py$", name)
    )
    named = {
        (page, name) for page in (*PAGES, *DECISIONS) for name in re.findall(r"SEATRIAL_[A-Z_]*[A-Z]", text_of(page))
    }
    assert {(page, name) for page, name in named if name not in settings and f'"{name}"' not in program} == set()


def fragments() -> Iterator[tuple[str, Block]]:
    """Parts of specs that the pages show."""
    sections = {path for path, _, _ in FIELDS if "." not in path}
    for page in (*PAGES, *DECISIONS):
        for block in blocks(page):
            if block.language == "yaml" and set(yaml.safe_load(block.text)) <= sections:
                yield page, block


@pytest.mark.parametrize(("page", "block"), list(fragments()), ids=lambda each: each if isinstance(each, str) else "")
def test_every_part_of_a_spec_that_a_page_shows_is_taken(page: str, block: Block) -> None:
    for section, said in yaml.safe_load(block.text).items():
        # What is required and not shown is taken from a product that is there.
        whole = FLIGHTS.get(section, {}) if page != "docs/your-own-model.md" else {}
        if isinstance(said, dict):
            model: Any = TypeAdapter(ProductSpec.model_fields[section].annotation)
            model.validate_json(json.dumps(whole | said, default=str))


def test_the_readme_lists_every_command() -> None:
    cells = [code for row in rows(ROOT / "README.md", "command") for code in re.findall(r"`([^`]+)`", row[0])]
    assert {code.removeprefix("seatrial ").split()[0] for code in cells} == commands_of_the_command_line()


def test_the_orders_stand_in_every_list_of_them() -> None:
    orders = {verb.value for verb in Verb}
    assert {verb.value for verb in SteerRequest.model_fields["verb"].annotation} == orders  # type: ignore[union-attr]
    told = table(ROOT / "docs/rollouts.md", "order")
    assert {row.split()[1] for row in told} == orders | {"rollback", "retry"}
    (steer,) = (each for each in deployments() if each["name"] == "steer")
    assert set(re.findall(r"\w+", steer["description"])) & commands_of_the_command_line() == orders


def deployments() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return found


def test_the_pages_of_prefect_have_the_deployments_that_operations_lists() -> None:
    (listed,) = re.findall(r"Under\s+Deployments, (.+?) have a form", prose("docs/operations.md"), flags=re.DOTALL)
    common = [each["name"] for each in deployments() if len(each["tags"]) == 1]
    assert re.findall(r"`(\w+)`", listed) == common


def test_the_strategies_stand_in_every_list_of_them() -> None:
    strategies = [strategy.value for strategy in Strategy]
    assert sorted(re.findall(r"^### (\w+)$", text_of("docs/rollouts.md"), flags=re.MULTILINE)) == sorted(strategies)
    (listed,) = re.findall(r"Strategies: (.+?);", prose("docs/cli.md"))
    assert sorted(re.findall(r"\w+", listed)) == sorted(strategies)


def test_the_metrics_of_a_server_are_those_of_the_pages(caller: Caller) -> None:
    told = caller.get("/metrics").text + InferenceLog().as_text()
    families = set(re.findall(r"^# TYPE (\w+) ", told, flags=re.MULTILINE))
    named = {
        name
        for page, header in (("serving.md", "metric"), ("operations.md", "metric of `/metrics`"))
        for row in rows(ROOT / "docs" / page, header)
        for name in re.findall(r"`((?:seatrial|process)_\w+)`", row[0])
    }
    assert {name for name in families if name.startswith("seatrial_")} == named - {"seatrial_server_log_"}


def test_the_formats_of_the_inference_log_and_what_is_dropped_are_those_of_the_pages() -> None:
    told = table(ROOT / "docs/operations.md", "metric of `/metrics`")["seatrial_server_log_dropped_total"]
    assert set(re.findall(r"`(\w+)`", told)) == {"reason", "size"} | {reason.value for reason in Reason}
    formats = {"csv": "CSV", "jsonl": "JSON lines", "parquet": "Parquet"}
    assert set(formats) == {each.value for each in LogFormat}
    command = next(row for row in rows(ROOT / "docs/cli.md", "command") if row[0].startswith("`log "))
    assert all(name in command[2] for name in formats.values())
