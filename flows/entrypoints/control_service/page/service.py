"""The routes of the page: overview, product, an order with its confirmation, what changes, and files beside them."""

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from deployments import wiring
from deployments.access_control.principal import Principal
from deployments.access_control.roles import Permission
from deployments.errors import BadInput, Busy, NotFound, SeatrialError
from deployments.local_platform.addresses import read_addresses
from deployments.rollout.state import RolloutState
from deployments.routers.protocol import Router
from flows.entrypoints.control_service.access import LOGIN, guarded, public
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.forms import BadForm, read_form
from flows.entrypoints.control_service.page import orders
from flows.entrypoints.control_service.page.board import Board
from flows.entrypoints.control_service.page.confirmation import Confirmation, Given, give, told_of_order
from flows.entrypoints.control_service.page.live_look import Links, LiveLook, Sources
from flows.entrypoints.control_service.page.product_page import PARTS
from flows.entrypoints.control_service.page.rendering import ROOT, asset, page
from flows.entrypoints.control_service.page.stream import MOST_WATCHERS, Pulse, changes
from flows.entrypoints.program_log import say

_PRODUCT: Final = f"{ROOT}/products/{{product}}"
_ORDER: Final = f"{_PRODUCT}/orders/{{order}}"
_SLOWEST_WATCHER_SECONDS: Final = 20.0
_PING_SECONDS: Final = 15


def routes(context: Context) -> list[BaseRoute]:
    """Of a service that runs; nothing is looked at before somebody asks."""
    settings = context.settings

    def one_look() -> AbstractContextManager[None]:
        return wiring.one_look() if context.behind_gateway else nullcontext()

    def router_of(state: RolloutState) -> Router:
        return wiring.read_only_doors_of(state.section).router

    def links() -> Links:
        found = read_addresses(settings)
        return Links(found.url("prefect"), found.url("mlflow") if settings.has_own_mlflow else settings.mlflow_uri)

    sources = Sources(
        context.open_journal, router_of, one_look, context.open_prefect, links, settings.specs_folder, context.clock
    )
    return routes_over(context, Board(LiveLook(sources), secrets.token_hex(4)))


def routes_over(context: Context, board: Board) -> list[BaseRoute]:
    """The routes over what is shown."""
    pages = _Pages(context, board, Pulse(board.look))
    look: Any = partial(guarded, permission=Permission.VIEW, refused=_to_login)
    return [
        public(f"{ROOT}/assets/{{digest}}/{{name}}", _asset, why="they are the same for everybody"),
        look(ROOT, _home, product=None),
        look(f"{ROOT}/", pages.overview, product=None),
        guarded(f"{ROOT}/live", pages.stream, permission=Permission.VIEW, product=None),
        look(_PRODUCT, pages.product, product="product"),
        guarded(f"{_PRODUCT}/live", pages.stream, permission=Permission.VIEW, product="product"),
        look(_ORDER, pages.confirm, product="product"),
        guarded(_ORDER, pages.order, methods=["POST"], permission=Permission.ORDER, product="product"),
    ]


def _to_login(request: Request, refused: Response) -> Response:
    """Whoever is not logged in is asked who he is; whoever may not is told so."""
    if refused.status_code == 401:
        return RedirectResponse(LOGIN, 303, headers={"cache-control": "no-store"})
    return refused


def _home(_: Request) -> Response:
    return RedirectResponse(f"{ROOT}/", 308)


def _asset(request: Request) -> Response:
    return asset(request.path_params["name"]) or Response(status_code=404)


@dataclass(frozen=True, slots=True)
class _Pages:
    context: Context
    board: Board
    pulse: Pulse

    def overview(self, request: Request) -> Response:
        principal: Principal = request.state.principal
        seen, revision, parts = self.board.parts("", principal)
        shown = [name for name in seen.reports if principal.may(Permission.VIEW, name)]
        return page(
            "overview.html",
            rows=[parts[f"row-{name}"].html for name in shown],
            asks=[parts[f"asks-{name}"].html for name in shown],
            **self._frame(request, "Products", seen.trouble, f"{ROOT}/live", revision),
        )

    def product(self, request: Request) -> Response:
        product, principal = request.path_params["product"], request.state.principal
        try:
            seen, revision, parts = self.board.parts(product, principal)
            told = told_of_order(self.board.look, self.context.open_journal, product, request.query_params)
        except NotFound as error:
            return self._said(request, 404, "There is no such product", str(error))
        except SeatrialError as error:
            return self._said(request, 503, "This cannot be shown now", str(error))
        if product not in seen.reports:  # nothing was ever read
            return self._said(request, 503, "This cannot be shown now", seen.trouble)
        return page(
            "product.html",
            product=product,
            description=str(seen.reports[product]["description"]),
            parts={name: parts[name].html for name in PARTS},
            told=told,
            **self._frame(request, product, seen.trouble, f"{ROOT}/products/{product}/live", revision),
        )

    async def stream(self, request: Request) -> Response:
        if self.pulse.watchers >= MOST_WATCHERS:
            return Response(status_code=503, headers={"retry-after": "30"})
        product = str(request.path_params.get("product", ""))
        since = request.headers.get("last-event-id") or request.query_params.get("since", "")
        told = changes(self.board, self.pulse, product, request.state.principal, since, self.context.clock.monotonic)
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        return EventSourceResponse(told, headers=headers, ping=_PING_SECONDS, send_timeout=_SLOWEST_WATCHER_SECONDS)

    def confirm(self, request: Request) -> Response:
        """What an order will do, and the form that gives it."""
        product, order, principal = *self._asked(request), request.state.principal
        if order not in orders.ORDERS:
            return self._said(request, 404, "There is no such order", f"orders are {', '.join(orders.ORDERS)}")
        if not principal.may(orders.permission_of(order), product):
            return self._said(request, 403, "You may not do that", _not_permitted(principal, order, product))
        try:
            found = self.board.look.product(product)
        except NotFound as error:
            return self._said(request, 404, "There is no such product", str(error))
        except SeatrialError as error:
            return self._said(request, 503, "This cannot be shown now", str(error))
        return self._form(request, Confirmation.of(order, found), 200, "", "")

    async def order(self, request: Request) -> Response:
        """Gives it; a page that is too old for what it asks is told so, and nothing is done."""
        product, order = self._asked(request)
        principal: Principal = request.state.principal
        if order not in orders.ORDERS:
            return self._said(request, 404, "There is no such order", f"orders are {', '.join(orders.ORDERS)}")
        if not principal.may(orders.permission_of(order), product):
            return self._said(request, 403, "You may not do that", _not_permitted(principal, order, product))
        try:
            form = await read_form(request)
        except BadForm as error:
            return self._said(request, 400, "The form cannot be read", str(error))
        return await run_in_threadpool(self._given, request, order, product, form)

    def _given(self, request: Request, order: str, product: str, form: Mapping[str, str]) -> Response:
        principal: Principal = request.state.principal
        try:
            found = self.board.look.product(product)
            confirmation = Confirmation.of(order, found)
            if why := confirmation.mistake(form):
                return self._form(request, confirmation, 422, form.get("reason", ""), why)
            given = give(confirmation, form, Given(principal.who, self.context, found))
        except NotFound as error:
            return self._said(request, 404, "Nothing was ordered", str(error))
        except (BadInput, Busy) as error:
            return self._said(request, 409, "Nothing was ordered", str(error))
        except SeatrialError as error:
            say(f"an order to {product} was not given: {error}")
            return self._said(request, 503, "Nothing was ordered", str(error))
        return RedirectResponse(f"{ROOT}/products/{product}?{given}", 303, headers={"cache-control": "no-store"})

    def _form(self, request: Request, confirmation: Confirmation, status: int, reason: str, why: str) -> Response:
        frame = self._frame(request, f"{confirmation.label}: {confirmation.product}", "", "", 0)
        return page("confirm.html", status, asked=confirmation, reason=reason, why=why, **frame)

    def _said(self, request: Request, status: int, title: str, why: str) -> Response:
        return page("said.html", status, said=title, why=why, **self._frame(request, title, "", "", 0))

    def _asked(self, request: Request) -> tuple[str, str]:
        return str(request.path_params["product"]), str(request.path_params["order"])

    def _frame(self, request: Request, title: str, trouble: str, stream: str, revision: int) -> dict[str, Any]:
        return {
            "title": title,
            "who": request.state.principal.who,
            "csrf_token": getattr(request.state, "csrf_token", ""),
            "trouble": trouble,
            "stream": f"{stream}?since={self.board.epoch}.{revision}" if stream else "",
            "at": self.context.clock.now(),
        }


def _not_permitted(principal: Principal, order: str, product: str) -> str:
    return f"{principal.who} may not {order} {product}: ask an admin for a token with a role that may"
