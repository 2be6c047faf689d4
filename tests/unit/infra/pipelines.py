"""A pipeline of GitHub or GitLab, read from its YAML and run step by step in a shell, with a fake forge beside it."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


def document(path: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((ROOT / "infra" / "ci" / path).read_text())
    return found


def github_steps(path: str, job: str) -> Iterator[dict[str, Any]]:
    yield from (step for step in document(path)["jobs"][job]["steps"] if "run" in step)


def github_environment(step: Mapping[str, Any], context: Mapping[str, str]) -> dict[str, str]:
    """The step's `env`; a KeyError names an expression that the fake event does not have."""
    return {
        name: EXPRESSION.sub(lambda found: context[found[1]], str(value)) for name, value in step.get("env", {}).items()
    }


def gitlab_script(job: str) -> str:
    """All lines of a job in one shell, as GitLab's runner has them; `before_script` comes of what it extends."""
    found = document("gitlab/seatrial.gitlab-ci.yml")
    lines = found.get(found[job].get("extends", ""), {}).get("before_script", [])
    return "\n".join([*lines, *found[job]["script"]])


def run(script: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """As both runners do: bash that ends at the first command that fails."""
    return subprocess.run(
        ["/usr/bin/env", "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def shell_environment(folder: Path, clone: Path, python: Path) -> dict[str, str]:
    """Of a runner: `make` is a fake that only puts the environment there which `make install` would make."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    make = tools / "make"
    make.write_text(f'#!/bin/sh\n[ "$*" = install ] && ln -sfn {python.parent.parent} .venv\n')
    make.chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SEATRIAL_", "GITHUB_", "CI_"))}
    return own | {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(clone), "HOME": str(folder)}


class Forge:
    """The comments of one request, as GitHub's and GitLab's API have them, and what was asked with which token."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = [
            {"id": 1, "body": "<!-- seatrial-ci --> forged", "user": {"login": "mallory"}, "author": {"id": 9}}
        ]
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.url = ""


@contextmanager
def forge() -> Iterator[Forge]:
    found = Forge()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            content = json.loads(self.rfile.read(length)) if length else {}
            found.asked.append(f"{self.command} {self.path.partition('?')[0]}")
            found.tokens.add(self.headers.get("authorization") or self.headers.get("private-token") or "")
            told: Any = content
            if self.path.endswith("/user"):
                told = {"id": 7}
            elif self.command == "GET":
                told = found.comments if "page=1" in self.path.split("&") else []
            elif self.command == "POST":
                me = {"user": {"login": "github-actions[bot]"}, "author": {"id": 7}}
                found.comments.append({"id": len(found.comments) + 1, **content, **me})
            else:
                found.comments[int(self.path.rpartition("/")[2]) - 1] |= content
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815 - the server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
