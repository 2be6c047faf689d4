"""A fake of Prometheus for tests: it scrapes texts when it is told to, and answers the instant queries that we ask.

Those are selectors of one metric or of many by `__name__=~"…"`, with conditions of equality, and `timestamp()` of one.
"""

import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client.parser import text_string_to_metric_families

_QUERY = re.compile(r"(?P<function>timestamp)?\(?(?P<name>\w*)\{(?P<conditions>.*)\}\)?")
_CONDITION = re.compile(r'(?P<label>\w+)(?P<how>=~|=)(?P<value>"(?:[^"\\]|\\.)*")')


@dataclass
class FakePrometheus:
    """Use it as a context. `answer` replaces what it says: a code and a body. `login` is what it wants to be told."""

    answer: tuple[int, bytes] | None = None
    login: str = ""
    queries: list[str] = field(default_factory=list)
    _series: dict[frozenset[tuple[str, str]], tuple[float, float]] = field(default_factory=dict)

    def __enter__(self) -> "FakePrometheus":
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, body = fake._answered(self.path, self.headers.get("authorization", ""))
                self.send_response(code)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def scrape(self, target: Mapping[str, str], text: str | None, ago: float = 0.0) -> None:
        """What a target tells now, or told some seconds `ago`. None: it does not answer, so that it goes stale."""
        self._series = {labels: said for labels, said in self._series.items() if not labels >= set(target.items())}
        for family in text_string_to_metric_families(text or ""):
            for sample in family.samples:
                labels = {"__name__": sample.name, **sample.labels, **target}
                self._series[frozenset(labels.items())] = (time.time() - ago, float(sample.value))

    def _answered(self, path: str, authorization: str) -> tuple[int, bytes]:
        asked = urlsplit(path)
        if self.login and authorization != f"Basic {base64.b64encode(self.login.encode()).decode()}":
            return 401, b"Unauthorized"
        if self.answer is not None:
            return self.answer
        if asked.path != "/api/v1/query":
            return 404, b"404 page not found"
        query = parse_qs(asked.query)["query"][0]
        self.queries.append(query)
        return 200, json.dumps({"status": "success", "data": self._vector(query)}).encode()

    def _vector(self, query: str) -> dict[str, Any]:
        found = _QUERY.fullmatch(query)
        assert found, query
        conditions = [(each["label"], each["how"], json.loads(each["value"])) for each in _CONDITION.finditer(query)]
        if found["name"]:
            conditions.append(("__name__", "=", found["name"]))
        now, result = time.time(), []
        for series, (at, value) in self._series.items():
            labels = dict(series)
            if all(_holds(labels.get(label, ""), how, wanted) for label, how, wanted in conditions):
                if found["function"]:
                    del labels["__name__"]
                said = at if found["function"] else value
                result.append({"metric": labels, "value": [now, repr(said)]})
        return {"resultType": "vector", "result": result}


def _holds(value: str, how: str, wanted: str) -> bool:
    return value == wanted if how == "=" else re.fullmatch(wanted, value) is not None
