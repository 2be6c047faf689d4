import json
from uuid import UUID

import httpx
import pytest

from deployments.errors import BadInput, NotFound, PlatformUnreachable
from deployments.prefect_api import PrefectApi, StartedRun
from tests.advice import followed

RUN = UUID("00000000-0000-4000-8000-000000000001")
REQUEST = {"request": {"product": "shop"}}


class FakePrefect:
    """Answers as Prefect 3.8.8 does, for one deployment, `release/shop`."""

    def __init__(self, run: httpx.Response | Exception | None = None) -> None:
        self._run = run or httpx.Response(201, json={"id": str(RUN), "name": "shop release"})
        self.asked: list[object] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/deployments/name/release/shop":
            return httpx.Response(200, json={"id": "abc"})
        if request.url.path == "/api/deployments/abc/create_flow_run":
            self.asked.append(json.loads(request.content))
            if isinstance(self._run, Exception):
                raise self._run
            return self._run
        return httpx.Response(404, json={"detail": "Deployment not found"})


def api(prefect: FakePrefect) -> PrefectApi:
    return PrefectApi("http://prefect/api", ("seatrial", "hunter2"), httpx.MockTransport(prefect))


def test_a_run_is_asked_for_by_the_deployments_name_with_its_key() -> None:
    prefect = FakePrefect()
    with api(prefect) as client:
        assert client.start_run("release/shop", REQUEST, "github-1", ["webhook"]) == StartedRun(RUN, "shop release")
    assert prefect.asked == [{"parameters": REQUEST, "idempotency_key": "github-1", "tags": ["webhook"]}]


def test_a_deployment_that_is_not_there_is_named() -> None:
    with api(FakePrefect()) as client, pytest.raises(NotFound, match="'release/nope'"):
        client.start_run("release/nope", REQUEST, "1")


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_prefect_that_cannot_now_may_be_asked_again(status: int) -> None:
    with api(FakePrefect(httpx.Response(status))) as client, pytest.raises(PlatformUnreachable, match=str(status)):
        client.start_run("release/shop", REQUEST, "1")


def test_a_prefect_that_is_away_may_be_asked_again_and_its_password_is_not_told() -> None:
    with (
        api(FakePrefect(httpx.ConnectError("refused"))) as client,
        pytest.raises(PlatformUnreachable, match="does not answer") as away,
    ):
        client.start_run("release/shop", REQUEST, "1")
    assert "hunter2" not in str(away.value)


def test_parameters_that_it_does_not_take_are_bad_input() -> None:
    refusal = httpx.Response(409, json={"detail": "Validation failed for field 'request'"})
    with api(FakePrefect(refusal)) as client, pytest.raises(BadInput, match="Validation failed"):
        client.start_run("release/shop", {}, "1")


def test_who_is_not_let_in_is_told_what_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks_for(request: httpx.Request) -> httpx.Response:
        known = request.headers.get("authorization") in {"Bearer abc", "Basic c2VhdHJpYWw6aHVudGVyMg=="}
        return httpx.Response(200, json={"id": "1"}) if known else httpx.Response(401)

    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    transport = httpx.MockTransport(asks_for)
    with pytest.raises(BadInput, match=followed("PREFECT_API_URL is not set: set it to Prefect's API, such as")):
        PrefectApi.of_environment()
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    with PrefectApi.of_environment(transport) as client, pytest.raises(BadInput) as refused:
        client.has_deployment("release/shop")
    assert followed("): set PREFECT_API_AUTH_STRING to USER:PASSWORD, or PREFECT_API_KEY") in str(refused.value)
    for name, value in (("PREFECT_API_KEY", "abc"), ("PREFECT_API_AUTH_STRING", "seatrial:hunter2")):
        monkeypatch.setenv(name, value)
        with PrefectApi.of_environment(transport) as client:
            assert client.has_deployment("release/shop")
