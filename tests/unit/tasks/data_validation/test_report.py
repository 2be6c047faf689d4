from html.parser import HTMLParser

import pytest

from tasks.data_validation.report import Finding, Outcome, Severity, ValidationReport, to_html, to_markdown

BAD = Finding("values <b>", 'he"at', Severity.CRITICAL, Outcome.FAILED, "3 & 4", "it's <bad>")
ODD = Finding("mean", None, Severity.WARNING, Outcome.ERROR, "no rows", "cannot tell")
GOOD = Finding("rows", None, Severity.CRITICAL, Outcome.PASSED, "40 rows", "fine")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _page(report: ValidationReport, title: str = "ices <data>") -> _Page:
    page = _Page()
    page.feed(to_html(report, title))
    return page


@pytest.mark.parametrize(
    ("findings", "passed", "critical", "warnings"),
    [
        ((GOOD,), True, 0, 0),
        ((GOOD, ODD), True, 0, 1),
        ((BAD, ODD, GOOD), False, 1, 1),
        ((Finding("c", None, Severity.CRITICAL, Outcome.ERROR, "", ""),), False, 1, 0),
        ((Finding("c", None, Severity.INFO, Outcome.FAILED, "", ""),), True, 0, 0),
        ((Finding("c", None, Severity.INFO, Outcome.ERROR, "", ""),), True, 0, 1),
        ((), True, 0, 0),
    ],
)
def test_a_report_passes_unless_something_critical_did_not(
    findings: tuple[Finding, ...], passed: bool, critical: int, warnings: int
) -> None:
    report = ValidationReport(findings, 40, "s")
    assert (report.passed, len(report.critical), len(report.warnings)) == (passed, critical, warnings)


def test_a_page_of_markdown_says_what_did_not_pass_first_and_shows_every_check_whole() -> None:
    lines = to_markdown(ValidationReport((BAD, ODD, GOOD), 40, "s.json")).splitlines()
    assert lines[0] == "**Refused**: 3 checks of 40 rows against `s.json`"
    assert lines.index("- it's &#60;bad&#62;") < lines.index("- cannot tell") < lines.index("## All checks")
    assert lines[-3] == '| **failed** | he"at | 3 &#38; 4 | critical | values &#60;b&#62; |'
    assert lines[-1] == "| passed | (table) | 40 rows | critical | rows |"


def test_nothing_in_a_name_ends_a_cell_or_a_line_of_markdown() -> None:
    odd = Finding("a|b", "x\ny", Severity.WARNING, Outcome.FAILED, "[link](x)", "`code`")
    page = to_markdown(ValidationReport((odd,), 1, "s"))
    assert page.splitlines()[-1] == "| **failed** | x&#92;ny | &#91;link&#93;(x) | warning | a&#124;b |"


def test_a_page_escapes_every_text() -> None:
    page = _page(ValidationReport((BAD, ODD, GOOD), 40, "s<i>.json"))
    assert {"values <b>", "3 & 4", 'he"at', "s<i>.json", "ices <data>"} <= {text.strip() for text in page.texts}
    assert not {"i", "bad", "data"} & {tag for tag, _ in page.tags}
    assert [tag for tag, _ in page.tags].count("b") == 5
    assert [tag for tag, _ in page.tags].count("tr") == 4


def test_a_page_needs_nothing_but_itself() -> None:
    content = to_html(ValidationReport((BAD, GOOD), 40, "s"), "ices")
    page = _page(ValidationReport((BAD, GOOD), 40, "s"))
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert not any({"src", "href"} & set(attributes) for _, attributes in page.tags)
    assert "http" not in content
    assert "url(" not in content
    assert "@import" not in content


def test_a_page_shows_the_verdict() -> None:
    assert "refused" in _page(ValidationReport((BAD,), 40, "s")).texts
    assert "passed" in _page(ValidationReport((GOOD,), 40, "s")).texts
