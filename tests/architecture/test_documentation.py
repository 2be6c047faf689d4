"""The pages say what the code does: fields, variables, commands, exit codes, the picture, links."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from deployments import errors
from deployments.settings import Settings
from flows.entrypoints.cli.main import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
SCHEMA: dict[str, Any] = json.loads((DOCS / "spec.schema.json").read_text())


def rows(page: Path, header: str) -> Iterator[list[str]]:
    """Cells of every table of a page whose first column is called `header`."""
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if cells and not set(line) <= set("|- "):
            if inside:
                yield cells
            inside = inside or cells[0] == header
        inside = inside and bool(cells)


def table(page: Path, header: str) -> dict[str, str]:
    """First cell, without its quotes, to second cell."""
    found = [(cells[0].strip("`"), cells[1]) for cells in rows(page, header)]
    assert len(found) == len(dict(found)), "a row stands twice"
    return dict(found)


def fields(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Path, schema and whether it is required, of each field below a section of the schema."""
    for name, field in node.get("properties", {}).items():
        yield f"{prefix}{name}", field, name in node.get("required", [])
        for section in sections(field):
            yield from fields(section, f"{prefix}{name}.")
        for section in sections(field.get("additionalProperties") or {}):
            yield from fields(section, f"{prefix}{name}.NAME.")


def sections(field: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(field, dict):
        return
    for part in (field, *field.get("anyOf", []), field.get("items", {})):
        if "$ref" in part:
            yield SCHEMA["$defs"][part["$ref"].rpartition("/")[2]]


FIELDS = list(fields(SCHEMA))


def test_every_field_of_a_spec_is_documented_and_no_other() -> None:
    assert set(table(DOCS / "spec.md", "field")) == {path for path, _, _ in FIELDS}


@pytest.mark.parametrize(("path", "field", "required"), FIELDS, ids=[path for path, _, _ in FIELDS])
def test_the_default_of_a_field_is_the_documented_one(path: str, field: dict[str, Any], required: bool) -> None:
    told, default = table(DOCS / "spec.md", "field")[path], field.get("default")
    if required:
        assert told == "required"
    elif isinstance(default, bool):
        assert told == f"`{json.dumps(default)}`"
    elif isinstance(default, list) and default:
        shown = ", ".join(f"{each['weight'] if isinstance(each, dict) else each:g}" for each in default)
        assert told == f"`[{shown}]`"
    elif isinstance(default, str | int | float) and default != "":
        assert told == f"`{default}`"
    elif path == "data.split":
        assert told == f"`{{share: {default['share']}}}`"
    else:
        assert not default or isinstance(default, dict)
        assert told in {"none", "empty", "all defaults", "all rows", "by the ending", "at least one"}


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    told = table(DOCS / "settings.md", "variable")
    assert set(told) == {f"SEATRIAL_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default = field.default
        if field.default_factory is None and default is not None:
            shown = json.dumps(list(default) if isinstance(default, tuple) else default, default=str).strip('"')
            assert told[f"SEATRIAL_{name.upper()}"] == f"`{shown}`"


def test_every_command_is_documented_with_all_its_options() -> None:
    root: Any = typer.main.get_command(app)
    real = {
        name: {option for each in command.params for option in each.opts if option.startswith("-")} - {"--help"}
        for name, command in root.commands.items()
    }
    told = {name.split()[0]: set(re.findall(r"`(-[-a-z]+)`", options)) for name, options in commands().items()}
    assert told == real


def commands() -> dict[str, str]:
    return table(DOCS / "cli.md", "command")


@pytest.mark.parametrize("page", [DOCS / "cli.md", ROOT / "README.md"], ids=["cli.md", "README.md"])
def test_the_exit_codes_are_those_of_the_errors(page: Path) -> None:
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SeatrialError)
    }
    assert {int(code) for code in table(page, "code")} == raised | {0, 130}


def test_the_picture_shows_the_steps_of_the_release_flow_in_their_order() -> None:
    flow = ast.parse((ROOT / "flows" / "release.py").read_text())
    body = next(node for node in flow.body if isinstance(node, ast.FunctionDef) and node.name == "_release")
    calls = (node for node in ast.walk(body) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    steps = [call.func.id for call in sorted(calls, key=lambda call: call.lineno) if isinstance(call.func, ast.Name)]
    drawn = re.findall(r"^ +(\w+)\[", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert drawn == steps


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name} leads to {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name} leads to {target}"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
