"""What the login page makes a browser remember, against the pages themselves: a new release may call it otherwise."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from deployments.web_login.login_page import _REMEMBERED, login_page

PAGES = {"mlflow": "server/js/build/static/js", "prefect": "server/ui/assets"}


def scripts(part: str) -> str:
    """All that the pages run."""
    found = find_spec(part)
    assert found is not None
    assert found.origin is not None
    files = (Path(found.origin).parent / PAGES[part]).glob("*.js")
    return "\n".join(file.read_text(encoding="utf-8", errors="ignore") for file in files)


@pytest.mark.parametrize("part", list(PAGES))
def test_every_name_is_one_that_the_pages_look_for(part: str) -> None:
    all_of_it = scripts(part)
    names = [name.removesuffix("_v1") for name in _REMEMBERED[part]]
    assert [name for name in names if name not in all_of_it] == []
    assert names


@pytest.mark.parametrize("part", list(PAGES))
def test_the_page_has_them_and_leaves_what_somebody_chose(part: str) -> None:
    page = login_page(part)
    assert all(name in page for name in _REMEMBERED[part])
    assert "if (localStorage.getItem(name) === null)" in page
