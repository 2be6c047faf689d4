"""What the log of a server that does not come up tells of it."""

import json
from pathlib import Path

import pytest

from deployments.targets.exit_reason import stage_in


def line(event: str, **fields: object) -> str:
    return json.dumps({"level": "info", "event": event} | fields)


LOADING = line("starting", stage="loading the model", seconds=2.5, model_mb=489.1)
COMPILING = line("starting", stage="compiling the model", seconds=16.2, model_mb=489.1)
TOLD = "compiling the model, of 489.1 MB, begun 16.2 s after its start"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], ""),
        ([LOADING, COMPILING], TOLD),
        ([LOADING, COMPILING, "a library says something", "", "{"], TOLD),
        ([line("refused to serve", error="no"), LOADING, COMPILING], TOLD),
        ([LOADING, line("ready")], ""),
        ([LOADING, line("failed", error="MemoryError")], ""),
        (["[1]", "2"], ""),
    ],
)
def test_it_is_the_newest_stage_of_a_start_that_has_not_ended(tmp_path: Path, lines: list[str], told: str) -> None:
    (tmp_path / "log").write_text("\n".join(lines))
    assert stage_in(tmp_path / "log") == told


def test_a_server_that_has_said_nothing_yet_has_no_stage(tmp_path: Path) -> None:
    assert stage_in(tmp_path / "log") == ""


def test_a_stage_takes_a_bounded_place_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(line("starting", stage="x" * 9_000, seconds=1, model_mb=1))
    assert len(stage_in(tmp_path / "log")) <= 400
