"""Every page is held against what is so, or has a reason why not."""

from pathlib import Path

import pytest

from tests.docs.claims import ROOT, Claim, claim, claims

PAGES = {"README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))}
# Pages without a sentence that a test in this folder could show, and why.
UNCLAIMED = {
    "docs/benchmarks.md": "numbers of runs that take minutes to hours: `make bench`, `bench-rollouts`, `bench-serving`",
    "docs/critiques.md": "what is missing or weak, and numbers of single runs",
}


def test_every_page_is_held_against_what_is_so() -> None:
    claimed = {each.page for each in claims()}
    assert claimed | set(UNCLAIMED) == PAGES
    assert claimed & set(UNCLAIMED) == set(), "has a claim now: take it from the exceptions"


def test_claims_are_found_at_all() -> None:
    found = list(claims())
    assert len(found) >= 250
    assert len(found) == len(set(found)), "a sentence is claimed twice"


@pytest.mark.parametrize("each", list(claims()), ids=lambda each: f"{each.page}: {each.sentence[:60]}")
def test_the_page_says_so(each: Claim) -> None:
    assert each.stands


def test_a_sentence_that_is_gone_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text('@claim("README.md", "Seatrial makes coffee.")\ndef test() -> None: ...\n')
    [found] = claims(tmp_path)
    assert not found.stands
    checked = claim(found.page, found.sentence)(lambda: None)
    with pytest.raises(AssertionError, match=r"README.md does not say so any more"):
        checked()
