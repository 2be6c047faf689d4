"""The page: what it shows, orders by its forms, who may, and what nobody can put into it."""

import asyncio
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deployments.access_control.roles import Role
from deployments.journals.protocol import Event
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.spec import CanarySection, CanaryStep, Strategy
from flows.entrypoints.control_service.page.stream import Pulse, changes
from tests.unit.flows.page_scene import PRODUCT, PageScene
from tests.unit.tasks.rollout_engine.world import MINUTE, SECTION

OF_BIKES = f"/seatrial/products/{PRODUCT}"
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta"}


@pytest.fixture
def scene(tmp_path: Path) -> PageScene:
    made = PageScene(tmp_path)
    made.spec()
    return made


@pytest.fixture
def canary(scene: PageScene) -> PageScene:
    """A canary of v2 that is watched at 50 %, with too little traffic for a proof."""
    scene.world.run(scene.world.wish(1))
    scene.world.rate = 4
    scene.until(lambda state: state.done == 5 and state.observed.total_seconds() >= 20, 2, strategy=Strategy.CANARY)
    scene.as_role(Role.ADMIN)
    return scene


@pytest.fixture
def asking(scene: PageScene) -> PageScene:
    """A canary that asks a person before 50 %."""
    scene.world.run(scene.world.wish(1))
    steps = (CanaryStep(weight=10), CanaryStep(weight=50, approve=True))
    section = SECTION.model_copy(update={"canary": CanarySection(steps=steps, wait=MINUTE)})
    scene.world.journal.record(
        Event(PRODUCT, "rollout-2", scene.clock.now(), "release.asked", {"who": "ci-bot (token)"})
    )
    scene.until(lambda state: state.phase is Phase.WAITING, 2, strategy=Strategy.CANARY, section=section)
    return scene


class Page(HTMLParser):
    """Tags in a page that a browser would see, and whether they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, tag


def seen(text: str) -> str:
    """What a person reads."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_overview_says_of_each_product_where_it_is(canary: PageScene) -> None:
    canary.spec("quiet", "Nobody released it")
    (canary.specs / "broken.yaml").write_text("product: [")
    page = canary.browse("/seatrial/")
    told = seen(page.text)
    assert page.status_code == 200
    for words in ("bikes", "Rolling out", "step 6 of 10", "v1 50 %", "v2 50 %", "quiet", "Never released"):
        assert words in told
    assert "broken.yaml cannot be read: seatrial lint broken says why" in told
    assert len(set(Page(page.text).ids)) == len(Page(page.text).ids)


def test_a_product_says_what_its_rollout_waits_for_and_how_strong_the_evidence_is(canary: PageScene) -> None:
    text = canary.browse(OF_BIKES).text
    told = seen(text)
    assert "It waits for" in told
    assert "proof that v2 is not worse" in told
    assert re.search(r"About [\d,]+ more requests are needed on error rate: at the present rate in", told)
    for words in ("harm is proved at 300", "not worse is proved at 20", "Requests that failed", "Evidence now"):
        assert words in told
    page = Page(text)
    drawn = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(drawn) == 5
    assert all(attributes["aria-label"] for attributes in drawn)
    assert [attributes for tag, attributes in page.tags if attributes.get("aria-current") == "step"]


def test_nothing_in_a_page_comes_from_elsewhere_or_stands_in_line(canary: PageScene) -> None:
    for path in ("/seatrial/", OF_BIKES, f"{OF_BIKES}/orders/abort"):
        answer = canary.browse(path)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert answer.headers["cache-control"] == "no-store"
        for tag, attributes in Page(answer.text).tags:
            assert tag != "style"
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            assert tag != "script" or attributes["src"]
            for name in ("src", "action", *(["href"] if tag == "link" else [])):
                assert str(attributes.get(name) or "/").startswith("/seatrial/" if attributes.get(name) else "/")
    for asset in re.findall(r'"(/seatrial/assets/[^"]+)"', canary.browse("/seatrial/").text):
        answer = canary.ask(asset)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert "http://" not in answer.text.replace("http://www.w3.org/", "")
        assert "https://" not in answer.text
    assert canary.ask("/seatrial/assets/x/..%2f..%2fservice.py").status_code == 404


def test_markup_in_names_reasons_and_descriptions_is_text(canary: PageScene) -> None:
    canary.spec("evil", EVIL)
    journal = canary.world.journal
    for kind, detail in (
        ("model.registered", {"version": EVIL}),
        ("gate.passed", {"against": EVIL, "scores": {EVIL: EVIL}}),
        ("step.done", {"step": EVIL, "seen": EVIL}),
        (f"odd.{EVIL}", {"reason": EVIL}),
        ("release.asked", {"who": EVIL}),
    ):
        journal.record(Event(PRODUCT, "rollout-2", canary.clock.now(), kind, detail))
    state = journal.newest()[0]
    journal.give(state.rollout_id, Verb.PAUSE, EVIL, EVIL, canary.clock.now())
    harmless = {tag for tag, _ in Page(canary.browse(OF_BIKES).text).tags}
    for path in ("/seatrial/", OF_BIKES, f"{OF_BIKES}?order=1"):
        text = canary.browse(path).text
        assert "alert(1)" in text, path
        tags = Page(text).tags
        assert not [each for tag, each in tags if tag == "script" and not each.get("src")]
        assert "img" not in {tag for tag, _ in tags}
        assert "{{7*7}}" in text
        assert {tag for tag, _ in tags} <= harmless | {"li", "ul", "form", "p"}
    refused = canary.give("pause", reason=EVIL + " " * 600 + "x" * 600)
    assert refused.status_code == 422
    assert "img" not in {tag for tag, _ in Page(refused.text).tags}


@pytest.mark.parametrize("odd", ["%0d%0aset-cookie:x=1", "..%2f..%2fetc", "%3Cscript%3E", "a" * 4000, "%00", "%ff"])
def test_an_odd_name_is_no_product_and_no_header(canary: PageScene, odd: str) -> None:
    for path in (f"/seatrial/products/{odd}", f"/seatrial/products/{odd}/orders/pause", f"{OF_BIKES}/orders/{odd}"):
        answer = canary.browse(path)
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers
        assert "<script>" not in answer.text


def test_whoever_is_not_logged_in_is_asked_who_he_is(canary: PageScene) -> None:
    canary.cookies = {}
    for path in ("/seatrial/", OF_BIKES, f"{OF_BIKES}/orders/abort"):
        answer = canary.ask(path, headers={"sec-fetch-site": "none"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/seatrial/login")
    assert canary.ask(f"{OF_BIKES}/live").status_code == 401


ROLES = {Role.VIEWER: set(), Role.OPERATOR: {"pause", "abort", "release", "rollback"}}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
def test_orders_that_one_may_not_give_are_neither_shown_nor_taken(canary: PageScene, role: Role) -> None:
    allowed = ROLES.get(role, ROLES[Role.OPERATOR] | {"skip", "promote"})
    canary.as_role(role, PRODUCT)
    offered = set(re.findall(r'id="order-(\w+)"', canary.browse(OF_BIKES).text))
    assert offered == allowed
    for order in ("promote", "skip", "pause", "abort", "release", "rollback"):
        if order in allowed:
            continue
        assert canary.browse(f"{OF_BIKES}/orders/{order}").status_code == 403
        csrf = canary.form(f"{OF_BIKES}/orders/pause").get("csrf_token", "")
        fields = {"csrf_token": csrf, "reason": "x", "rollout": "rollout-2", "step": "5"}
        assert canary.browse(f"{OF_BIKES}/orders/{order}", "POST", data=fields).status_code == 403
    assert canary.world.journal.orders("rollout-2") == ()
    assert canary.started == []


def test_a_viewer_of_one_product_sees_no_other(canary: PageScene) -> None:
    canary.spec("secret", "nobody else knows of it")
    canary.as_role(Role.VIEWER, PRODUCT)
    assert "secret" not in canary.browse("/seatrial/").text
    assert canary.browse("/seatrial/products/secret").status_code == 404
    told = asyncio.run(parts(canary, "", canary.token(Role.VIEWER, PRODUCT), since=0))
    assert set(told) == {f"row-{PRODUCT}", f"asks-{PRODUCT}"}


def test_an_order_says_what_it_will_do_and_what_became_of_it(canary: PageScene) -> None:
    form = seen(canary.browse(f"{OF_BIKES}/orders/abort").text)
    assert "All traffic goes back to v1 at once, and the servers of v2 are ended." in form
    given = canary.give("abort", reason="users complain")
    assert given.status_code == 303
    order = canary.world.journal.orders("rollout-2")[0]
    assert (order.verb, order.who, order.reason) == (Verb.ABORT, "admin-0 (token)", "users complain")
    told = seen(canary.browse(given.headers["location"]).text)
    assert "Abort by admin-0 (token): written down" in told
    canary.world.resume("rollout-2")
    canary.clock.advance(MINUTE)
    assert "Abort by admin-0 (token): done" in seen(canary.browse(given.headers["location"]).text)
    assert "Rolled back" in seen(canary.browse("/seatrial/products/bikes").text)


def test_an_approval_shows_who_asks_and_why_and_goes_on(asking: PageScene) -> None:
    asking.as_role(Role.APPROVER)
    told = seen(asking.browse(OF_BIKES).text)
    question = asking.world.journal.newest()[0].step.question  # type: ignore[union-attr]
    assert f"{question[0].upper()}{question[1:]}" in told
    assert "asked for by ci-bot (token)" in told
    assert question in seen(asking.browse("/seatrial/").text)
    assert f"You say yes to: {question}" in seen(asking.browse(f"{OF_BIKES}/orders/approve").text)
    assert asking.give("approve", reason="looks good").status_code == 303
    assert asking.world.resume("rollout-2").phase is Phase.DONE


def test_an_order_needs_a_reason_and_the_rollout_that_it_was_made_for(canary: PageScene) -> None:
    assert "Say why" in seen(canary.give("pause", reason="   ").text)
    for changed in ({"step": "4"}, {"rollout": "rollout-1"}, {"step": ""}):
        answer = canary.give("pause", **changed)
        assert answer.status_code == 422
        assert "has moved on since this form was opened" in seen(answer.text)
    assert canary.world.journal.orders("rollout-2") == ()


def test_a_form_without_the_token_of_its_session_does_nothing(canary: PageScene) -> None:
    path = f"{OF_BIKES}/orders/abort"
    form = canary.form(path) | {"reason": "x"}
    for wrong in ({}, {"csrf_token": ""}, {"csrf_token": "0" * 64}):
        fields = {name: value for name, value in form.items() if name != "csrf_token"} | wrong
        assert canary.browse(path, "POST", data=fields).status_code == 403
    elsewhere = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert canary.browse(path, "POST", data=form, headers=elsewhere).status_code == 403
    assert canary.world.journal.orders("rollout-2") == ()


def test_two_people_order_opposite_things_and_both_are_told(asking: PageScene) -> None:
    asking.as_role(Role.ADMIN)
    approve, abort = (asking.form(f"{OF_BIKES}/orders/{order}") for order in ("approve", "abort"))
    first = asking.browse(f"{OF_BIKES}/orders/abort", "POST", data=abort | {"reason": "no"})
    second = asking.browse(f"{OF_BIKES}/orders/approve", "POST", data=approve | {"reason": "yes"})
    assert (first.status_code, second.status_code) == (303, 409)
    assert "cannot approve now: the rollout is restoring already" in seen(second.text)
    asking.world.resume("rollout-2")
    asking.clock.advance(MINUTE)
    assert "Abort by admin-0 (token): done" in seen(asking.browse(first.headers["location"]).text)


def test_a_release_starts_one_run_however_often_its_form_is_sent(canary: PageScene) -> None:
    path = f"{OF_BIKES}/orders/release"
    form = canary.form(path) | {"reason": "new data", "strategy": "shadow", "window": "60d"}
    for _ in range(2):
        answer = canary.browse(path, "POST", data=form)
        assert answer.headers["location"].startswith(f"{OF_BIKES}?run=")
    keys = {each["idempotency_key"] for each in canary.started}
    assert (len(canary.started), len(keys)) == (2, 1)
    assert canary.started[0]["parameters"] == {"request": {"product": PRODUCT, "strategy": "shadow", "window": "60d"}}
    assert canary.started[0]["tags"] == ["by:admin-0 (token)", "page"]
    told = seen(canary.browse(answer.headers["location"]).text)
    assert "Release ordered admin-0 (token), new data" in told
    assert canary.browse(path, "POST", data=form | {"strategy": "none"}).status_code == 409


def test_the_page_lives_on_without_its_journal_and_says_so(canary: PageScene) -> None:
    canary.browse(OF_BIKES)
    canary.journal_away = True
    canary.clock.advance(MINUTE)
    for path in ("/seatrial/", OF_BIKES):
        answer = canary.browse(path)
        assert answer.status_code == 200
        assert "The journal does not answer" in seen(answer.text)
        assert "v2" in seen(answer.text)
    assert canary.give("pause").status_code in {409, 422, 503}
    canary.journal_away = False
    canary.clock.advance(MINUTE)
    assert "The journal does not answer" not in canary.browse("/seatrial/").text


def test_a_long_history_is_cut_and_says_where_the_rest_is(canary: PageScene) -> None:
    journal = canary.world.journal
    for number in range(5000):
        journal.record(Event(PRODUCT, "rollout-0", canary.clock.now(), "model.trained", {"algorithm": f"a{number}"}))
    text = canary.browse(OF_BIKES).text
    assert len(text) < 150_000
    assert "a4999" in text
    assert "a4000" not in text
    assert "Older events: seatrial history bikes" in seen(text)


# What is told to pages that are open.


async def watched(scene: PageScene, product: str, token: str, since: str) -> Any:
    principal = scene.identities.of_secret(token)
    assert principal is not None
    pulse = Pulse(scene.board.look)
    return changes(scene.board, pulse, product, principal[0], since, scene.clock.monotonic), pulse


async def parts(scene: PageScene, product: str, token: str, since: int) -> dict[str, str]:
    """What the first event of a stream brings."""
    stream, _ = await watched(scene, product, token, f"scene.{since}")
    event = await anext(stream)
    await stream.aclose()
    told: dict[str, str] = json.loads(event.data)["parts"]
    return told


def test_a_watcher_is_told_what_has_changed_and_nothing_else(canary: PageScene) -> None:
    canary.spec("quiet", "Nobody released it")
    token = canary.token(Role.VIEWER)

    async def watch() -> tuple[dict[str, str], dict[str, str]]:
        _, revision, _ = canary.board.parts("", canary.identities.of_secret(token)[0])  # type: ignore[index]
        stream, pulse = await watched(canary, "", token, f"scene.{revision}")
        coming = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.05)
        assert not coming.done()
        canary.world.journal.give("rollout-2", Verb.PAUSE, "ada", "wait", canary.clock.now())
        await asyncio.to_thread(canary.until_paused)
        canary.clock.advance(MINUTE)
        event = await asyncio.wait_for(coming, 5)
        await stream.aclose()
        assert pulse.watchers == 0
        return json.loads(event.data)["parts"], await parts(canary, "", token, revision)

    told, again = asyncio.run(watch())
    assert set(told) == {f"row-{PRODUCT}", f"asks-{PRODUCT}"}
    assert "Waits for a person" in told[f"row-{PRODUCT}"]
    assert again == told, "whoever comes back with the revision that he knows gets the same"


def test_a_page_of_an_earlier_service_is_loaded_anew(canary: PageScene) -> None:
    async def first(since: str) -> str:
        stream, _ = await watched(canary, "", canary.token(Role.VIEWER), since)
        event = await anext(stream)
        return str(event.event)

    assert {asyncio.run(first(since)) for since in ("other.7", "", "scene", "scene.x")} == {"reload"}


def test_one_look_serves_everybody(canary: PageScene, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    whole = canary.world.journal.newest
    monkeypatch.setattr(canary.world.journal, "newest", lambda: looks.append(1) or whole())
    principal = canary.identities.of_secret(canary.token(Role.VIEWER))[0]  # type: ignore[index]
    canary.clock.advance(MINUTE)
    for _ in range(50):
        canary.board.parts("", principal)
        canary.board.parts(PRODUCT, principal)
    assert len(looks) == 1
