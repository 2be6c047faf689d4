"""The control service with guarded routes, as programs and browsers ask it."""

import asyncio
import re
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from deployments.access_control.identities import Identities, machine_token
from deployments.access_control.roles import Permission, Role
from deployments.access_control.tokens import Tokens
from deployments.clock import ManualClock
from deployments.errors import PlatformUnreachable
from deployments.web_login.allowed_hosts import Names
from flows.entrypoints.control_service import login
from flows.entrypoints.control_service.access import Access, guarded
from flows.entrypoints.control_service.app import make_app

HOST = "127.0.0.1:8080"
OURS = {"host": HOST, "origin": f"http://{HOST}"}


def told(request: Request) -> Response:
    return JSONResponse({"who": request.state.principal.who, "csrf": getattr(request.state, "csrf_token", "")})


def guarded_routes() -> list[BaseRoute]:
    """Of one product, and of all."""
    return [
        guarded("/seatrial/of/{product}", told, permission=Permission.VIEW, product="product"),
        guarded("/seatrial/of/{product}", told, methods=["POST"], permission=Permission.ORDER, product="product"),
        guarded("/seatrial/all", told, permission=Permission.VIEW, product=None),
        guarded("/seatrial/all", told, methods=["POST"], permission=Permission.ADMINISTER, product=None),
    ]


class Scene:
    """One product's routes and one of all products, over a record of tokens in `folder`."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.clock, self.keys, self.url = ManualClock(), folder / "keys", f"sqlite:///{folder / 'journal.db'}"
        self.away = False
        self.identities = Identities(self.keys, self._open, self.clock)
        self.machine_token = machine_token(self.keys)
        self.access = access = Access(self.identities, Names.of(names))
        self.app = make_app(
            [
                *guarded_routes(),
                *login.routes(access),
            ],
            access,
        )
        self.cookies: dict[str, str] = {}

    def _open(self) -> Tokens:
        if self.away:
            raise PlatformUnreachable("the database is away; its password is hunter2")
        return Tokens(self.url)

    def token(self, role: Role, *products: str, life: timedelta | None = None) -> str:
        with closing(Tokens(self.url)) as tokens:
            grants = dict.fromkeys(products or ("*",), role)
            return tokens.create(f"{role}-{len(tokens.all())}", grants, "test", self.clock.now(), life)[1]

    def revoke_all(self) -> None:
        with closing(Tokens(self.url)) as tokens:
            now = self.clock.now()
            for each in tokens.all():
                if each.is_good(now):
                    tokens.revoke(each.id, now)

    def ask(self, path: str, method: str = "GET", token: str | None = None, **more: Any) -> httpx.Response:
        headers = {"host": HOST} | more.pop("headers", {})
        if token is not None:
            headers["authorization"] = f"Bearer {token}"

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())

    def log_in(self, **shown: str) -> httpx.Response:
        """As the login page does; the session is in `browse` from then on."""
        answer = self.ask("/seatrial/login", "POST", data=shown, headers=OURS)
        self.cookies = dict(re.findall(r"(seatrial-session\S*?)=([^;]+)", answer.headers.get("set-cookie", "")))
        return answer

    def browse(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        """What a browser asks for that has the session's cookie."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"cookie": cookie, "sec-fetch-site": "same-origin"} | (OURS if method != "GET" else {})
        return self.ask(path, method, headers=headers | more.pop("headers", {}), **more)

    def csrf(self) -> str:
        return str(self.browse("/seatrial/all").json()["csrf"])
