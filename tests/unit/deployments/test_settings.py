"""What stands in the environment is read strictly, and what is wrong there is named as it is written there."""

from pathlib import Path

import pytest

from deployments.errors import BadInput
from deployments.settings import Settings, current


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SEATRIAL_GATEWAY_PORT", "banana", r"SEATRIAL_GATEWAY_PORT: .*valid integer.*docs/settings\.md"),
        ("SEATRIAL_TRAINING_JOBS", "0", "SEATRIAL_TRAINING_JOBS: .*greater than or equal to 1"),
        ("SEATRIAL_ALLOWED_PACKAGES", "[1]", "SEATRIAL_ALLOWED_PACKAGES: .*valid string"),
        (
            "SEATRIAL_TRUSTED_TYPES",
            '["os.system"]',
            r"SEATRIAL_TRUSTED_TYPES: .*os\.system can be made to run any code",
        ),
        ("SEATRIAL_ALLOWED_PACKAGES", "sklearn", r"allowed_packages.*hold a list are JSON, such as '\[\"sklearn\"\]'"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadInput, match=message):
        current.__wrapped__()


def test_a_home_that_cannot_be_made_is_named_with_the_variable_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"file/home cannot be made \(Not a directory\): set SEATRIAL_HOME"):
        _ = Settings(home=tmp_path / "file" / "home").run_folder
