"""Who may ask the control service: programs by tokens, browsers by sessions of this server's own pages."""

from datetime import timedelta
from pathlib import Path

import pytest
from starlette.responses import Response
from starlette.routing import Route

from deployments.access_control.principal import account
from deployments.access_control.roles import Permission, Role
from deployments.settings import Settings
from deployments.web_login.sessions import Passes
from flows.entrypoints.control_service.access import guarded
from flows.entrypoints.control_service.app import make_app
from tests.advice import followed
from tests.unit.flows.access_scene import HOST, OURS, Scene

CSRF = "x-csrf-token"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


ASKED = [
    ("/seatrial/of/shop", "GET", Permission.VIEW),
    ("/seatrial/of/shop", "POST", Permission.ORDER),
    ("/seatrial/all", "GET", Permission.VIEW),
    ("/seatrial/all", "POST", Permission.ADMINISTER),
]


@pytest.mark.parametrize(("path", "method", "permission"), ASKED)
@pytest.mark.parametrize("role", Role)
def test_each_role_gets_what_it_permits(
    scene: Scene, path: str, method: str, permission: Permission, role: Role
) -> None:
    answer = scene.ask(path, method, scene.token(role))
    assert answer.status_code == (200 if role.permits(permission) else 403)
    if answer.status_code == 403:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 403
        assert "ask an admin" in answer.json()["detail"]


@pytest.mark.parametrize(("path", "method", "permission"), ASKED)
def test_whoever_shows_nothing_gets_nothing(scene: Scene, path: str, method: str, permission: Permission) -> None:
    answer = scene.ask(path, method)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    advised = followed(
        "log in by `seatrial open`, or send `Authorization: Bearer TOKEN` (`seatrial token create` makes one)"
    )
    assert advised in answer.json()["detail"]
    if permission is Permission.VIEW:
        assert scene.ask(path, method, scene.token(Role.VIEWER)).status_code == 200


def test_a_product_that_somebody_may_not_see_is_not_there_for_him(scene: Scene) -> None:
    token = scene.token(Role.ADMIN, "flights")
    assert scene.ask("/seatrial/of/flights", "POST", token).status_code == 200
    hidden = scene.ask("/seatrial/of/shop", "GET", token)
    assert hidden.status_code == 404
    assert scene.ask("/seatrial/all", "GET", token).status_code == 200
    assert scene.ask("/seatrial/all", "POST", token).status_code == 403


def test_the_platforms_own_token_is_this_account_and_needs_no_database(scene: Scene) -> None:
    scene.away = True
    answer = scene.ask("/seatrial/all", "POST", scene.machine_token)
    assert answer.json()["who"] == f"{account()} (API)"
    assert (scene.keys / "control").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer ",
        "Bearer x",
        "Basic eDp5",
        "bearer",
        "Bearer " + "a" * 10_000,
        "Bearer seatrial_000000000000_" + "a" * 43,
    ],
)
def test_what_is_no_good_token_is_not_let_in(scene: Scene, shown: str) -> None:
    assert scene.ask("/seatrial/all", headers={"authorization": shown}).status_code == 401


def test_expired_and_revoked_tokens_are_not_let_in(scene: Scene) -> None:
    token = scene.token(Role.VIEWER, life=timedelta(minutes=5))
    assert scene.ask("/seatrial/all", "GET", token).status_code == 200
    scene.clock.sleep(timedelta(minutes=5))
    assert scene.ask("/seatrial/all", "GET", token).status_code == 401
    token = scene.token(Role.VIEWER)
    scene.revoke_all()
    assert scene.ask("/seatrial/all", "GET", token).status_code == 401


def test_while_the_record_of_tokens_is_away_nobody_is_let_in_by_one_and_no_secret_is_told(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    token = scene.token(Role.VIEWER)
    scene.away = True
    answer = scene.ask("/seatrial/all", "GET", token)
    assert answer.status_code == 503
    assert followed("who asks cannot be told now: try again later") in answer.text
    assert followed("Who you are cannot be told now: try again later.") in scene.log_in(token=token).text
    said = answer.text + "".join(capsys.readouterr())
    assert token not in said
    assert "hunter2" not in answer.text
    scene.away = False
    assert scene.ask("/seatrial/all", "GET", token).status_code == 200


def test_a_token_in_the_address_is_nothing(scene: Scene) -> None:
    token = scene.token(Role.VIEWER)
    assert scene.ask(f"/seatrial/all?access_token={token}").status_code == 401


def test_a_browser_logs_in_by_a_token_and_is_who_the_token_is(scene: Scene) -> None:
    answer = scene.log_in(token=scene.token(Role.VIEWER))
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert scene.browse("/seatrial/all").json()["who"].endswith("(token)")
    scene.revoke_all()
    assert scene.browse("/seatrial/all").status_code == 401


def test_a_browser_logs_in_by_a_ticket_once(scene: Scene) -> None:
    ticket = Passes(
        (scene.keys / "pages").read_bytes() if (scene.keys / "pages").exists() else _drawn(scene), "seatrial"
    )
    drawn = ticket.ticket(scene.clock.now())
    assert scene.log_in(ticket=drawn).status_code == 303
    assert scene.browse("/seatrial/all").json()["who"] == f"{account()} (page)"
    assert scene.log_in(ticket=drawn).status_code == 401
    assert scene.log_in(ticket=Passes(_drawn(scene), "mlflow").ticket(scene.clock.now())).status_code == 401


def test_by_tls_the_session_is_for_tls_alone(scene: Scene) -> None:
    headers = {"host": HOST, "origin": f"https://{HOST}", "x-forwarded-proto": "https"}
    answer = scene.ask("/seatrial/login", "POST", data={"token": scene.machine_token}, headers=headers)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_other_page_uses_a_session(scene: Scene, headers: dict[str, str], method: str) -> None:
    scene.log_in(token=scene.machine_token)
    with_token = {CSRF: scene.csrf()}
    assert scene.browse("/seatrial/all", method, headers=with_token).status_code == 200
    # Of a port's own cookie a browser shows none by another name.
    assert scene.browse("/seatrial/all", method, headers=with_token | headers).status_code in {401, 403}


def test_what_changes_something_needs_the_token_of_the_sessions_own_form(scene: Scene) -> None:
    scene.log_in(token=scene.machine_token)
    csrf = scene.csrf()
    assert scene.browse("/seatrial/all", "POST").status_code == 403
    assert scene.browse("/seatrial/all", "POST", headers={CSRF: "x"}).status_code == 403
    assert scene.browse("/seatrial/all", "POST", data={"csrf_token": csrf}).status_code == 200
    scene.log_in(token=scene.machine_token)
    assert scene.browse("/seatrial/all", "POST", headers={CSRF: csrf}).status_code == 403


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"host": "evil.example"}, {}])
def test_no_other_page_logs_a_browser_in_or_out(scene: Scene, headers: dict[str, str]) -> None:
    for path in ("/seatrial/login", "/seatrial/logout"):
        answer = scene.ask(path, "POST", data={"token": scene.machine_token}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_a_session_that_a_server_of_another_account_collected_is_nothing_there(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = {("127.0.0.1", 5000): 1000, ("127.0.0.1", 6000): 1001}
    monkeypatch.setattr("flows.entrypoints.control_service.access.account_at", lambda client, _: accounts[client])
    ours, theirs = ({"x-seatrial-peer": f"127.0.0.1:{port} {HOST}"} for port in (5000, 6000))
    answer = scene.ask("/seatrial/login", "POST", data={"token": scene.machine_token}, headers=OURS | ours)
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    scene.cookies = {name: value}
    assert scene.browse("/seatrial/all", headers=ours).status_code == 200
    assert scene.browse("/seatrial/all", headers=theirs).status_code == 401


def test_the_session_ends_after_its_hours(scene: Scene) -> None:
    scene.log_in(token=scene.machine_token)
    scene.clock.sleep(timedelta(hours=12, seconds=1))
    assert scene.browse("/seatrial/all").status_code == 401


def test_logging_out_takes_the_cookie_away(scene: Scene) -> None:
    scene.log_in(token=scene.machine_token)
    answer = scene.browse("/seatrial/logout", "POST")
    assert answer.status_code == 303
    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_by_a_name_of_its_own_it_may_be_asked(scene: Scene, tmp_path: Path) -> None:
    headers = {"host": "models.example.org", "origin": "https://models.example.org", "x-forwarded-proto": "https"}
    refused = scene.ask("/seatrial/login", headers=headers)
    assert followed("(SEATRIAL_GATEWAY_NAMES adds names)") in refused.text
    scene = Scene(tmp_path, *Settings(gateway_names=("models.example.org",)).gateway_names)
    answer = scene.ask("/seatrial/login", "POST", data={"token": scene.machine_token}, headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/seatrial/"


def test_the_login_page_runs_nothing_of_others(scene: Scene) -> None:
    page = scene.ask("/seatrial/login")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in page.text.replace("// ", "")
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "multipart/form-data"])
@pytest.mark.parametrize("body", [b"token=" + b"a" * 50_000, b"\xff", b"token", b"[" * 4000, b"a=1&" * 1000])
def test_what_is_no_login_is_refused(scene: Scene, body: bytes, kind: str) -> None:
    answer = scene.ask("/seatrial/login", "POST", content=body, headers=OURS | {"content-type": kind})
    assert answer.status_code in {400, 401}
    assert "set-cookie" not in answer.headers


def test_a_route_that_does_not_say_who_may_ask_it_is_refused() -> None:
    with pytest.raises(TypeError, match="guarded"):
        make_app([Route("/seatrial/open", lambda _: Response())])
    with pytest.raises(TypeError, match="guarded"):
        make_app([guarded("/x", lambda _: Response(), permission=Permission.VIEW, product=None)])


def _drawn(scene: Scene) -> bytes:
    from deployments.key_files import key

    return key(scene.keys, "pages")
