"""The description of the API as a page for people: whole, without a script, and without a request to anybody."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2733; --soft: #52616f; --paper: #f6f8fa; --card: #fff; --line: #dde4ea;
  --sea: #0b6e8f; --code: #eef3f6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3eaf0; --soft: #9fb0bf; --paper: #10171d; --card: #18222b;
  --line: #2a3844; --sea: #4db6d6; --code: #0f1820; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; margin: 0; } h2 { font-size: 19px; margin: 32px 0 10px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 20px; margin: 12px 0; }
h3 { font-size: 16px; margin: 0 0 4px; overflow-wrap: anywhere; }
p { margin: 4px 0; } .soft { color: var(--soft); } .verb { color: var(--sea); font-weight: 700; }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin-top: 8px; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 12.5px; padding: 0 12px 4px 0; }
td { padding: 4px 12px 4px 0; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
code, pre { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
a { color: var(--sea); } a:focus-visible { outline: 2px solid var(--sea); outline-offset: 2px; }
"""
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "private, no-cache",
}


def reference_page(described: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI document of ours; all that stands in it is text."""
    info = described["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])} API, version {escape(info['version'])}</h1>"
        f'<p class="soft">{_in_code(info["description"])}</p>'
        '<p>The same for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
        f"{''.join(_sections(described))}</main></body></html>"
    )


def _sections(described: Mapping[str, Any]) -> Iterator[str]:
    for title, methods in (("To look", {"get"}), ("To change something", {"post"})):
        yield f"<h2>{title}</h2>"
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                if method in methods:
                    yield _section(method, path, operation)


def _section(method: str, path: str, operation: Mapping[str, Any]) -> str:
    codes = ", ".join(sorted(operation["responses"]))
    return (
        f'<section id="{escape(operation["operationId"])}"><h3><span class="verb">{method.upper()}</span> '
        f"<code>{escape(path)}</code></h3><p>{_in_code(operation['summary'])}</p>"
        f'<p class="soft">{_in_code(operation["description"])}</p>{_parameters(operation)}{_body(operation)}'
        f'<p class="soft">Answers: {escape(codes)}</p></section>'
    )


def _parameters(operation: Mapping[str, Any]) -> str:
    rows = [(each["name"], each["in"], each["description"]) for each in operation["parameters"]]
    return _table(("parameter", "in", "what"), rows)


def _body(operation: Mapping[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    fields = schema.get("properties", {})
    return _table(
        ("field of the body", "", "what"), [(name, "", each.get("description", "")) for name, each in fields.items()]
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    told = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(place)}</td><td>{_in_code(what)}</td></tr>"
        for name, place, what in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{told}</tbody></table>"


def _in_code(text: str) -> str:
    """What stands between backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
