"""Pages of other people in a real browser whose owner is logged in: Prefect, MLflow and the gateway stay as they were.

Attempts that leave a server with a door as it was are made on one without a door as well: there they must succeed.
A sample is in `make test`; `make test-browser` makes all of them.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.metrics.feedback.store import FeedbackLedger
from tests.chromium import browser, chromium
from tests.e2e.attacker import PAGE, attacker
from tests.e2e.conftest import SPEC, Seatrial, Shop, until
from tests.e2e.web import NAMES, ORIGINS, Web, without_door

pytestmark = pytest.mark.skipif(browser() is None, reason="there is no Chromium: apt-get install chromium")
MLFLOW = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def web(seatrial: Seatrial, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    profile = tmp_path_factory.mktemp("browser") / "profile"
    with attacker() as evil, chromium(profile, NAMES) as opened:
        made = Web(opened, evil, seatrial)
        for part in ("prefect", "mlflow"):
            made.log_in(part).close()
        yield made


@pytest.fixture(scope="module")
def release(seatrial: Seatrial) -> str:
    """The path at which a run of it is started."""
    with seatrial.api() as api:
        return f"/api/deployments/{api.get('/deployments/name/release/flights').json()['id']}/create_flow_run"


def runs(api: httpx.Client) -> Callable[[], int]:
    return lambda: int(api.post("/flow_runs/count", json={}).raise_for_status().json())


@pytest.mark.parametrize("origin", ORIGINS)
def test_no_other_page_starts_a_run(web: Web, seatrial: Seatrial, release: str, origin: str) -> None:
    with seatrial.api() as api:
        done, learned = web.written(origin, web.port("prefect"), release, lambda: "{}", runs(api), "include")
    assert done == set()
    assert not [told for told in learned.values() if '"id"' in told], learned


# Prefect as our platform has it, but for the door.
BARE = """
import uvicorn
from prefect.server.api.server import create_app
from flows.entrypoints.runner.prefect_database import serialize_writers
serialize_writers()
uvicorn.run(create_app(ephemeral=True), port=PORT, log_level="warning")
"""


def test_the_same_pages_start_runs_where_there_is_no_door(web: Web, tmp_path: Path) -> None:
    variables = {
        "PREFECT_HOME": str(tmp_path / "home"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    with without_door(tmp_path / "bare", ["-c", BARE], variables, "/api", "/api/health") as (bare, port):
        flow = bare.post("/flows/", json={"name": "release"}).raise_for_status().json()["id"]
        made = bare.post("/deployments/", json={"name": "release", "flow_id": flow}).raise_for_status().json()["id"]
        path = f"/api/deployments/{made}/create_flow_run"
        for origin in ORIGINS:
            done, learned = web.written(origin, port, path, lambda: "{}", runs(bare), "omit")
            assert {"fetch", "request of the old kind", "fetch that outlives its page", "worker"} <= done, learned
            assert '"id"' in learned["fetch"]


@pytest.mark.browser
def test_the_owner_starts_a_run_from_prefects_form(web: Web, seatrial: Seatrial, release: str) -> None:
    page = web.log_in("prefect")
    with seatrial.api() as api:
        count = runs(api)
        before = count()
        given = json.dumps({"request": {"product": "there-is-none"}})
        form = release.replace("/api/deployments/", "/deployments/deployment/").replace("/create_flow_run", "/run")
        page.go(f"http://127.0.0.1:{web.port('prefect')}{form}?parameters={given}")
        button = "[...document.querySelectorAll('button')].find(each => each.innerText === 'Submit' && !each.disabled)"
        page.until(f"{button} && true")
        page.run(f"{button}.click()")
        page.until(f"location.pathname !== {json.dumps(form)}")
        assert until(lambda: count() == before + 1)
    page.close()


@pytest.fixture(scope="module")
def shop(seatrial: Seatrial, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A product with a version that serves."""
    product = Shop("pages", tmp_path_factory.mktemp("shop"), json.loads(json.dumps(SPEC)))
    told = seatrial.run("release", str(product.write().file))
    assert told.returncode == 0, told.stderr
    return product.name


ROW = {"price": 20.0, "visits": 3, "country": "FR"}


def feedback(seatrial: Seatrial, product: str) -> str:
    """On an answer that was really given, as nobody has sent it yet."""
    answer = seatrial.ask(product, [ROW])
    assert answer.status_code == 200, answer.text
    told = {"product": product, "version": int(answer.headers["x-seatrial-version"]), "metric": "clicks", "value": 1}
    return json.dumps(told | {"request_id": answer.headers["x-request-id"]})


def values(seatrial: Seatrial, product: str) -> Callable[[], int]:
    def count() -> int:
        ledger = FeedbackLedger(f"sqlite:///{seatrial.home / 'journal.db'}")
        try:
            return sum(each.count for metrics in ledger.sums(product).values() for each in metrics.values())
        finally:
            ledger.close()

    return count


def test_no_other_page_says_what_an_answer_was_worth(web: Web, seatrial: Seatrial, shop: str) -> None:
    count, port = values(seatrial, shop), web.port("gateway")
    for origin in ORIGINS:
        done, learned = web.written(
            origin, port, "/seatrial/feedback", lambda: feedback(seatrial, shop), count, "include"
        )
        assert done == set(), origin
        assert not [told for told in learned.values() if '"stored":1' in told], learned
    sent = httpx.post(
        f"http://127.0.0.1:{port}/seatrial/feedback",
        content=feedback(seatrial, shop),
        headers={"content-type": "application/json"},
        trust_env=False,
        timeout=60,
    )
    assert (sent.status_code, count()) == (202, 1), "what they sent was good"


@pytest.mark.browser
def test_a_page_whose_origin_is_listed_does(web: Web, seatrial: Seatrial, shop: str) -> None:
    count, page = values(seatrial, shop), web.chromium.new_page()
    before = count()
    page.go("http://shop.example/", instead=PAGE)
    where = f"http://127.0.0.1:{web.port('gateway')}/seatrial/feedback"
    told = page.run(f"attempt(writes.fetch, {json.dumps(where)}, {json.dumps(feedback(seatrial, shop))}, 'omit')")
    assert (json.loads(told)["stored"], count()) == (1, before + 1)
    page.close()


@pytest.mark.browser
def test_a_prediction_is_for_everybody_who_asks_but_other_pages_do_not_read_it(web: Web, shop: str) -> None:
    asked = json.dumps({"dataframe_records": [ROW]})
    for origin in ORIGINS[:3]:
        _, learned = web.written(origin, web.port("gateway"), f"/{shop}/invocations", lambda: asked, lambda: 0, "omit")
        assert not [told for told in learned.values() if "predictions" in told], learned


@pytest.mark.browser
@pytest.mark.parametrize("origin", ORIGINS)
def test_no_other_page_changes_the_registry(web: Web, seatrial: Seatrial, origin: str) -> None:
    names = (f"evil-{ORIGINS.index(origin)}-{number}" for number in itertools.count())
    with seatrial.api("mlflow", MLFLOW) as api:
        for path in (MLFLOW, "/ajax-api/2.0/mlflow"):
            done, learned = web.written(
                origin,
                web.port("mlflow"),
                f"{path}/registered-models/create",
                lambda: model(names),
                models(api),
                "include",
            )
            assert done == set()
            assert not [told for told in learned.values() if "registered_model" in told], learned


@pytest.mark.browser
def test_the_same_pages_change_a_registry_without_a_door(web: Web, tmp_path: Path) -> None:
    """MLflow itself lets pages of this machine's other ports in, and asks nobody who they are."""
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = ["-m", "mlflow", "server", "--port", "PORT", "--workers", "1", "--backend-store-uri", store]
    names = (f"evil-{number}" for number in itertools.count())
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with without_door(tmp_path / "bare", command, variables, MLFLOW, "/health") as (bare, port):
        path = f"{MLFLOW}/registered-models/create"
        done, learned = web.written(ORIGINS[1], port, path, lambda: model(names), models(bare), "omit")
        assert {"fetch", "request of the old kind", "worker"} <= done, learned


def model(names: Iterator[str]) -> str:
    return json.dumps({"name": next(names)})


def models(api: httpx.Client) -> Callable[[], int]:
    found = "/registered-models/search"
    return lambda: len(
        api.get(found, params={"max_results": 500}).raise_for_status().json().get("registered_models", [])
    )


@pytest.mark.browser
@pytest.mark.parametrize("origin", ORIGINS)
def test_no_other_page_learns_what_is_there(web: Web, seatrial: Seatrial, release: str, origin: str) -> None:
    """Not a word of it, and not even whether it is: what is there looks like what is not."""
    there = release.removesuffix("/create_flow_run")
    cases: list[tuple[str, str, str]] = [
        ("prefect", there, f"{there[:-12]}000000000000"),
        ("prefect", "/api/events/out", "/api/logs/out"),
        ("mlflow", f"{MLFLOW}/experiments/get?experiment_id=0", f"{MLFLOW}/experiments/get?experiment_id=77"),
    ]
    for part, known, unknown in cases:
        learned = web.read(origin, web.port(part), known)
        assert learned == web.read(origin, web.port(part), unknown)
        assert not [told for told in learned.values() if "release" in told or "experiment" in told.lower()], learned
        assert learned["socket"].startswith("closed")


@pytest.mark.browser
def test_a_frame_shows_nothing_and_a_window_says_nothing(web: Web) -> None:
    """Neither is a page laid over ours (clickjacking), nor is ours known by the window that opened it."""
    for origin, part in itertools.product(ORIGINS[:3], ("prefect", "mlflow")):
        page, where = web.attack_from(origin, web.port(part))
        told: dict[str, Any] = page.run(
            f"""(async () => {{
                const opened = open({json.dumps(where)});
                const wait = () => new Promise(done => setTimeout(done, 50));
                for (let asked = 0; asked < 1200 && !opened.closed; asked++) await wait();
                const read = () => {{ try {{ return opened.document.title }} catch (error) {{ return error.name }} }};
                return {{closed: opened.closed, frames: opened.length, read: read()}};
            }})()"""
        )
        assert told["closed"], "a page of ours has no opener, and whoever opened it no hold of it"
        assert told["frames"] == 0
        page.close()


@pytest.mark.browser
def test_a_link_on_another_page_changes_nothing(web: Web, seatrial: Seatrial, release: str) -> None:
    """Whoever follows one is shown the page, or asked to log in; no server of ours does anything on GET."""
    with seatrial.api() as api, seatrial.api("mlflow", MLFLOW) as registry:
        before = runs(api)(), models(registry)()
        for origin in ORIGINS[:3]:
            paths = {"prefect": release, "mlflow": f"{MLFLOW}/registered-models/create?name=evil"}
            for part, path in paths.items():
                page, where = web.attack_from(origin, web.port(part))
                page.run(f"location.href = {json.dumps(where + path)}")
                page.until(f"location.port === '{web.port(part)}' && document.readyState === 'complete'")
                page.close()
        assert (runs(api)(), models(registry)()) == before


@pytest.mark.browser
def test_nobody_is_logged_in_by_another_page(web: Web, seatrial: Seatrial) -> None:
    """Nor by a ticket that the page itself got for itself (login CSRF)."""
    kept = {each["value"] for each in web.chromium.cookies()}
    for origin in ORIGINS:
        address = seatrial.run("open", "prefect", "--print").stdout.strip()
        ticket = json.dumps({"ticket": address.partition("#ticket=")[2]})
        asked = lambda given=ticket: given  # noqa: E731
        web.written(origin, web.port("prefect"), "/seatrial/login", asked, lambda: 0, "include")
    assert {each["value"] for each in web.chromium.cookies()} == kept


@pytest.mark.browser
def test_a_ticket_is_in_no_address_that_stays_and_is_told_to_no_other_page(web: Web, seatrial: Seatrial) -> None:
    page = web.chromium.new_page()
    page.go(seatrial.run("open", "prefect", "--print").stdout.strip())
    page.until("location.pathname !== '/seatrial/login' && document.readyState === 'complete'")
    history = page.ask("Page.getNavigationHistory")["entries"]
    assert not [each for each in history if "ticket" in each["url"]]
    web.attacker.heard.clear()
    page.run(f"location.href = {json.dumps(web.attacker.page())}")
    assert until(lambda: bool(web.attacker.heard))
    assert not [each for each in web.attacker.heard if "referer" in each or "cookie" in each]
    page.close()


@pytest.mark.browser
def test_whoever_is_not_logged_in_starts_nothing_either(web: Web, seatrial: Seatrial, release: str) -> None:
    web.chromium.forget_cookies()
    try:
        with seatrial.api() as api:
            for origin in ORIGINS:
                done, _ = web.written(origin, web.port("prefect"), release, lambda: "{}", runs(api), "include")
                assert done == set()
    finally:
        for part in ("prefect", "mlflow"):
            web.log_in(part).close()


@pytest.mark.browser
def test_the_owner_sees_mlflows_pages(web: Web, shop: str) -> None:
    web.log_in("mlflow").close()
    page = web.chromium.new_page()  # another part of the same page would be shown without being loaded
    page.go(f"http://127.0.0.1:{web.port('mlflow')}/#/models")
    page.until(f"document.body.innerText.includes({json.dumps(shop)})")
    page.close()
