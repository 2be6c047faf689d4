"""The check of the documentation's commands can fail."""

from pathlib import Path

import pytest

from tests.architecture.documented_commands import mistakes


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Run `seatrial relese flights`.", "no command 'relese'"),
        ("```bash\nseatrial release flights --stratgy rolling\n```", "no option --stratgy"),
        ("```\n$ make demon   # a comment\n```", "no target 'demon'"),
        ("`seatrial status --json | jq` and `make test && make tset`", "no target 'tset'"),
    ],
)
def test_a_command_that_does_not_exist_is_found(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "page.md").write_text(text)
    found = list(mistakes(tmp_path / "page.md"))
    assert len(found) == 1
    assert complaint in found[0]


def test_good_commands_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "`make demo`, `seatrial release flights --window 60d --json`, `seatrial logs gateway -f`"
    )
    assert not list(mistakes(tmp_path / "page.md"))
