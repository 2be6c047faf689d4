"""Text of others in a comment is text: rendered by a real Markdown parser, nothing of it is markup, link or mention."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.ci.comment_markdown import fenced, table, text

RENDER = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</details><h1>approved</h1>",
    "<!-- seatrial-ci -->",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "| a | b |",
    "\\| a",
    "`code` ``more``",
    "**bold** _it_ ~~gone~~",
    "# heading",
    "line\n/merge\n\n# next",
    "&lt;b&gt;",
    "a\u202eb",
]


@pytest.mark.parametrize("words", ATTACKS)
def test_nothing_in_a_cell_or_a_line_is_markup(words: str) -> None:
    for lines in ([*table(("what", "now"), [(words, "x")])], [f"- {text(words)}"]):
        html = RENDER("\n".join(lines))
        assert set(re.findall(r"<(/?[a-z0-9]+)", html)) <= {
            *("table", "/table", "thead", "/thead", "tbody", "/tbody", "tr", "/tr", "th", "/th", "td", "/td"),
            *("ul", "/ul", "li", "/li"),
        }
        assert html.count("<td>") in {0, 2}
        assert "<!--" not in html


@given(st.text(alphabet=st.sampled_from("<>&|`*_[]()!\\~#@/:.-+ \n\tabw0123456789"), max_size=40))
def test_whatever_is_written_a_table_keeps_its_cells(words: str) -> None:
    html = RENDER("\n".join(table(("a", "b"), [(words, words)])))
    assert (html.count("<tr>"), html.count("<td>")) == (2, 2)
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td)>)", html)


@pytest.mark.parametrize(
    "words",
    ["@everyone", "see @org/team", "fixes #12", "!7", "https://evil.example", "www.evil.example", "a@b.example"],
)
def test_nobody_is_told_and_nothing_is_linked(words: str) -> None:
    shown = text(words)
    assert not re.search(r"[@#!]\w", shown.replace("\\", ""))
    assert "https://" not in shown
    assert "www." not in shown
    assert shown.replace("\u2060", "").replace("\\", "") == words


def test_an_order_of_gitlab_is_none() -> None:
    assert not text("/merge").startswith("/m")


@given(st.text(alphabet="`~ \n+-a", max_size=30))
def test_a_fence_holds_whatever_is_in_it(words: str) -> None:
    html = RENDER("\n".join([*fenced([words, "last"], "diff"), "", "after"]))
    assert html.count("<pre>") == 1
    assert html.rstrip().endswith("<p>after</p>")
