"""docs/security.md says which test tries what: each of them is there."""

import re

import pytest

from tests.architecture.test_documentation import DOCS, ROOT

NAMED = sorted(set(re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", (DOCS / "security.md").read_text())))
TESTS = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_security_md_names_is_there_and_the_only_one_so_called(named: str) -> None:
    meant = [path for path in TESTS if path == named or ("/" not in named and path.endswith(f"/{named}"))]
    assert len(meant) == 1, f"{named}: {sorted(meant) or 'no such file'}"


def test_many_are_named() -> None:
    assert len(NAMED) > 20
