"""Who is let in to Prefect's and MLflow's pages, and from where."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from deployments.clock import ManualClock
from deployments.web_login.allowed_hosts import Names
from deployments.web_login.middleware import LOGIN, Door
from deployments.web_login.password import basic_header
from deployments.web_login.sessions import SESSION_LASTS, Passes
from tests.advice import followed

PASSWORD = "drawn"  # noqa: S105 - of a door of the test's own
OURS = "http://127.0.0.1:4200"
HTML = {"accept": "text/html,*/*"}


async def _heard(request: Request) -> Response:
    heard = {"authorization": request.headers.getlist("authorization"), "method": request.method}
    return JSONResponse(heard | {"origin": request.headers.get("origin")})


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("in")
    await socket.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def door(clock: ManualClock) -> Door:
    methods = ["GET", "POST", "OPTIONS", "DELETE"]
    inside = Starlette(
        routes=[WebSocketRoute("/api/events/in", _socket), Route("/{path:path}", _heard, methods=methods)]
    )
    passes = Passes(b"k" * 43, "prefect")
    return Door(inside, passes, PASSWORD, Names.of(port=4200), frozenset({"/api/health"}), True, clock)


class Client:
    """Asks the door, and keeps its cookies."""

    def __init__(self, door: Door) -> None:
        self._door, self._cookies = door, httpx.Cookies()

    def request(self, method: str, path: str, **what: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, **what))

    def get(self, path: str, **what: Any) -> httpx.Response:
        return self.request("GET", path, **what)

    def post(self, path: str, **what: Any) -> httpx.Response:
        return self.request("POST", path, **what)

    def delete(self, path: str, **what: Any) -> httpx.Response:
        return self.request("DELETE", path, **what)

    async def _request(self, method: str, path: str, **what: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._door)
        async with httpx.AsyncClient(transport=transport, base_url=OURS, cookies=self._cookies) as client:
            answer = await client.request(method, path, **what)
            self._cookies = client.cookies
        return answer

    def opens_socket(self, **headers: str) -> bool:
        raw = [(name.encode(), value.encode()) for name, value in ({"host": "127.0.0.1:4200"} | headers).items()]
        scope = {"type": "websocket", "path": "/api/events/in", "query_string": b"", "headers": raw, "subprotocols": []}
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self._door(scope, receive, send))
        return sent[0]["type"] == "websocket.accept"


@pytest.fixture
def client(door: Door) -> Client:
    return Client(door)


@pytest.fixture
def browser(door: Door, client: Client, clock: ManualClock) -> Client:
    """Logged in."""
    answer = client.post(LOGIN, json={"ticket": door.passes.ticket(clock.now())}, headers={"origin": OURS})
    assert answer.status_code == 204
    return client


@pytest.mark.parametrize(
    "path", ["/", "/api/deployments/filter", "/docs", "/openapi.json", "/api/health/", "/api//health"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_nobody_is_let_in(client: Client, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 401


def test_a_probe_is_answered_without_a_password_by_any_name_and_nothing_else_of_it(client: Client) -> None:
    assert client.get("/api/health", headers={"host": "10.0.0.7:4200"}).json()["authorization"] == []
    assert client.post("/api/health").status_code == 401


@pytest.mark.parametrize("shown", [basic_header(PASSWORD), f"Bearer {PASSWORD}"])
def test_the_password_lets_in_and_the_application_hears_it_as_prefect_wants_it(client: Client, shown: str) -> None:
    answer = client.post("/api/x", headers={"authorization": shown})
    assert answer.json() == {"authorization": [basic_header(PASSWORD)], "method": "POST", "origin": None}


@pytest.mark.parametrize(
    "shown",
    [
        "", "Basic", "Basic =", basic_header("drawn "), basic_header(""), PASSWORD, "Bearer", "Bearer dräwn",
        f"Basic {base64.b64encode(b'admin:drawn').decode()}",
    ],
)  # fmt: skip
def test_anything_else_does_not(client: Client, shown: str) -> None:
    assert client.get("/api/x", headers={"authorization": shown.encode()}).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:4200", "127.0.0.1.evil.example:4200", "127.0.0.1:4200.evil.example", "127.0.0.1",
        "127.0.0.1:4201", "localhost", "0.0.0.0:4200", "[::]:4200", "127.0.0.1:4200@evil.example", "", ":4200",
        "127.0.0.1:", "evil.example/127.0.0.1:4200", "127.0.0.1:4200 evil.example",
    ],
)  # fmt: skip
def test_by_another_name_nobody_is(browser: Client, host: str) -> None:
    for shown in ({}, {"authorization": basic_header(PASSWORD)}):
        assert browser.get("/api/x", headers={"host": host, **shown}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "localhost:4200", "LOCALHOST:4200", "[::1]:4200"])
def test_by_its_own_names_it_answers(client: Client, host: str) -> None:
    headers = {"host": host, "authorization": basic_header(PASSWORD), "origin": f"http://{host}"}
    assert client.post("/api/x", headers=headers).status_code == 200


ELSEWHERE = [
    "http://evil.example",
    "null",
    "http://127.0.0.1:9999",
    "http://localhost:4200",
    f"{OURS}.evil.example",
    "",
]


@pytest.mark.parametrize("origin", ELSEWHERE)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_another_page_is_refused_whoever_sits_before_it(browser: Client, method: str, origin: str) -> None:
    for shown in ({}, {"authorization": basic_header(PASSWORD)}):
        answer = browser.request(method, "/api/x", headers={"origin": origin, **shown})
        assert answer.status_code == 403
        assert not any(name.startswith("access-control") for name in answer.headers)
    assert browser.post(LOGIN, json={"password": PASSWORD}, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "new-word"])
def test_what_another_page_fetches_or_embeds_is_refused_and_a_link_is_not(browser: Client, site: str) -> None:
    for mode, target in (("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty"), ("no-cors", "script")):
        told = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": target}
        assert browser.get("/api/x", headers=told).status_code == 403
    link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert browser.get("/runs", headers=link).status_code == 200
    assert browser.post("/runs", headers=link).status_code == 403


def test_a_cookie_changes_nothing_unless_the_browser_says_that_our_page_asks(browser: Client) -> None:
    assert browser.get("/api/x").status_code == 200
    assert browser.post("/api/x").status_code == 401
    assert browser.post("/api/x", headers={"origin": OURS}).status_code == 200
    assert browser.delete("/api/x", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_the_cookie_is_for_no_script_and_no_other_site(door: Door, client: Client, clock: ManualClock) -> None:
    answer = client.post(LOGIN, json={"password": PASSWORD}, headers={"sec-fetch-site": "same-origin"})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204
    assert cookie.startswith("seatrial-prefect-4200=")
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.lower().split("; "))
    assert PASSWORD not in cookie


def test_a_session_ends(browser: Client, clock: ManualClock) -> None:
    clock.sleep(SESSION_LASTS + timedelta(seconds=2))
    assert browser.get("/api/x").status_code == 401


def test_whoever_is_asked_to_log_in_does_so_by_a_ticket(door: Door, client: Client, clock: ManualClock) -> None:
    assert followed("log in: `seatrial open ") in client.get("/api/x").text
    ticket = {"ticket": door.passes.ticket(clock.now())}  # as `seatrial open` draws it
    assert client.post(LOGIN, json=ticket, headers={"origin": OURS}).status_code == 204
    assert client.get("/api/x").status_code == 200


def test_a_ticket_logs_in_once(door: Door, client: Client, clock: ManualClock) -> None:
    ticket = {"ticket": door.passes.ticket(clock.now())}
    assert client.post(LOGIN, json=ticket, headers={"origin": OURS}).status_code == 204
    again = client.post(LOGIN, json=ticket, headers={"origin": OURS})
    assert followed("not good, or not good any more: `seatrial open ") in again.text
    fresh = {"ticket": door.passes.ticket(clock.now())}  # as `seatrial open` draws it
    assert client.post(LOGIN, json=fresh, headers={"origin": OURS}).status_code == 204
    assert again.status_code == 401
    assert "seatrial open prefect" in again.json()["message"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"ticket": 1}', b'{"password": null}', b'{"password": ["drawn"]}', b"\xff",
     b'{"password": ""}', b'{"password": "\\ud800"}', b"[" * 100_000,
     b'{"password": "drawn", "x": "' + b"x" * 5000 + b'"}'],
)  # fmt: skip
def test_a_login_that_shows_nothing_is_refused(client: Client, body: bytes) -> None:
    assert client.post(LOGIN, content=body, headers={"origin": OURS}).status_code == 401


@pytest.mark.parametrize("leaves", [True, False])
def test_a_login_without_an_end_is_none(door: Door, monkeypatch: pytest.MonkeyPatch, leaves: bool) -> None:
    monkeypatch.setattr("deployments.web_login.middleware._SLOWEST_LOGIN_SECONDS", 0.01)
    headers = [(b"host", b"127.0.0.1:4200"), (b"origin", OURS.encode())]
    scope = {"type": "http", "method": "POST", "path": LOGIN, "query_string": b"", "headers": headers}
    sent: list[Message] = []

    async def receive() -> Message:
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(door(scope, receive, send))
    assert sent[0]["status"] == (400 if leaves else 408)


def test_a_person_gets_a_page_and_a_program_a_sentence(client: Client) -> None:
    page = client.get("/runs", headers=HTML)
    assert page.status_code == 401
    assert "seatrial open prefect" in page.text
    assert "www-authenticate" not in page.headers, "the browser would ask by itself"
    assert client.get("/api/x").headers["www-authenticate"].startswith("Basic")
    assert "www-authenticate" not in client.get("/api/x", headers={"sec-fetch-mode": "cors"}).headers


@pytest.mark.parametrize("path", ["/runs", LOGIN, "/api/x"])
def test_no_page_may_show_it_in_a_frame(browser: Client, path: str) -> None:
    headers = browser.get(path).headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_socket_is_opened_only_for_whoever_is_no_other_page(client: Client) -> None:
    assert client.opens_socket()
    assert client.opens_socket(origin=OURS)
    assert not any(client.opens_socket(origin=origin) for origin in ELSEWHERE)
    assert not client.opens_socket(host="evil.example:4200")


def test_none_is_opened_where_the_application_does_not_ask_who_opens_it(door: Door, client: Client) -> None:
    door.asks_sockets = False
    assert not client.opens_socket()


def test_in_a_cluster_it_has_further_names_at_any_port() -> None:
    names = Names.of(("Seatrial-prefect.ml.svc",))
    assert all(map(names.has, ("seatrial-prefect.ml.svc:4200", "localhost:1", "seatrial-prefect.ml.svc")))
    assert not any(map(names.has, ("seatrial-prefect.ml", "ml.svc:4200", "")))


def test_the_password_is_not_in_what_is_printed(door: Door) -> None:
    assert PASSWORD not in repr(door)
