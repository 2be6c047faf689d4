"""What the pages claim, word for word, beside the test that shows it.

To add a claim: quote the sentence (or the row of a table) above a test in this folder, in `tests/e2e/test_pages.py` if
it takes a platform, and show in the test that it is so. A test fails when the page says so no longer: then the claim
was changed without the test, or the test without the claim.

    @claim("docs/serving.md", "Text is UTF-8; another charset is 415.")
    def test_another_charset_is_refused(caller: Caller) -> None: ...
"""

import ast
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

Given = ParamSpec("Given")
ROOT = Path(__file__).parents[2]
_QUOTING = (ROOT / "tests" / "docs", ROOT / "tests" / "e2e")


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of a page; line ends in it do not count."""

    page: str
    sentence: str

    @property
    def stands(self) -> bool:
        """Whether the page says so."""
        return _in_one_line(self.sentence) in _page(self.page)


def claim(page: str, *sentences: str) -> Callable[[Callable[Given, None]], Callable[Given, None]]:
    """Decorates a test of what a page says in these sentences."""

    def decorate(test: Callable[Given, None]) -> Callable[Given, None]:
        @functools.wraps(test)
        def checked(*args: Given.args, **kwargs: Given.kwargs) -> None:
            gone = [sentence for sentence in sentences if not Claim(page, sentence).stands]
            assert gone == [], f"{page} does not say so any more: change this test with it"
            test(*args, **kwargs)

        return checked

    return decorate


def claims(*folders: Path) -> Iterator[Claim]:
    """All that the tests of these folders quote, or of those that quote at all."""
    for path in sorted(path for folder in folders or _QUOTING for path in folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(node, ast.Call) and isinstance(called, ast.Name) and called.id == "claim":
                words = [part.value for part in node.args if isinstance(part, ast.Constant)]
                yield from (Claim(str(words[0]), str(sentence)) for sentence in words[1:])


@functools.cache
def _page(name: str) -> str:
    return _in_one_line((ROOT / name).read_text(encoding="utf-8"))


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
