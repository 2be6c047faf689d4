"""The way to an API server: credentials that change, answers that break off, and others who answer in its place."""

import os
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3
import yaml

from deployments.cluster import ApiError, ApiForbidden, Cluster, Conflicting, api_client
from deployments.cluster.resource_kinds import CONFIG_MAP
from deployments.errors import BadInput
from tests.unit.deployments.cluster.scripted import Asked, Said, Scripted, scripted

FOUND = {"metadata": {"name": "c", "resourceVersion": "1"}}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as made:
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "_BACKOFF_SECONDS", 0.0)


def in_turn(server: Scripted, *answers: Said) -> None:
    """The server gives these answers, and then `{}`."""
    left = list(answers)
    server.answer = lambda asked: left.pop(0) if left else Said()


def test_a_token_that_was_changed_is_read_anew_when_the_old_one_is_refused(server: Scripted, tmp_path: Path) -> None:
    where = server.kubeconfig(tmp_path / "config", "old")
    cluster = Cluster.of(kubeconfig=where)
    server.answer = lambda asked: Said() if asked.headers["authorization"] == "Bearer new" else Said(code=401)
    with pytest.raises(ApiForbidden):
        cluster.get(CONFIG_MAP, "c")
    server.kubeconfig(where, "new")
    assert cluster.get(CONFIG_MAP, "c") == {}
    before = len(server.asked)
    assert cluster.get(CONFIG_MAP, "c") == {}
    assert len(server.asked) == before + 1


@pytest.mark.parametrize("written", ["", "users: [", "current-context: other\n"])
def test_a_kubeconfig_that_is_just_being_written_leaves_the_refusal_standing(
    server: Scripted, tmp_path: Path, written: str
) -> None:
    where = server.kubeconfig(tmp_path / "config")
    cluster = Cluster.of(kubeconfig=where)
    in_turn(server, Said(code=401))
    where.write_text(written)
    with pytest.raises(ApiForbidden):
        cluster.get(CONFIG_MAP, "c")
    assert cluster.get(CONFIG_MAP, "c") == {}


def test_a_kubeconfig_that_is_no_yaml_is_named_and_not_quoted(tmp_path: Path) -> None:
    where = tmp_path / "config"
    where.write_text("users: [{token: 'hush}]\n")
    with pytest.raises(BadInput, match=str(where)) as caught:
        Cluster.of(kubeconfig=where)
    assert "hush" not in str(caught.value)


def test_the_kubeconfig_is_the_one_that_the_environment_names_now(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with scripted() as other:
        for each, name in ((server, "one"), (other, "two")):
            each.kubeconfig(tmp_path / name)
            monkeypatch.setenv("KUBECONFIG", name)
            assert Cluster.of().address == each.url


def test_it_stays_with_its_kubeconfig_wherever_the_process_goes(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", "mine")
    server.kubeconfig(tmp_path / "mine", "old")
    cluster = Cluster.of()
    monkeypatch.chdir("/")
    monkeypatch.setenv("KUBECONFIG", "another")
    server.kubeconfig(tmp_path / "mine", "new")
    server.answer = lambda asked: Said() if asked.headers["authorization"] == "Bearer new" else Said(code=401)
    assert cluster.get(CONFIG_MAP, "c") == {}


def test_an_answer_that_breaks_off_is_asked_for_again(server: Scripted, tmp_path: Path) -> None:
    cluster = Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config"))
    in_turn(server, Said(b'{"a": "whole"}', cut=True), Said(b'{"a": "whole"}'))
    assert cluster.get(CONFIG_MAP, "c") == {"a": "whole"}


def test_a_write_whose_answer_breaks_off_meets_itself(server: Scripted, tmp_path: Path) -> None:
    cluster = Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config"))
    in_turn(server, Said(b'{"a": "written"}', cut=True), Said(code=409))
    with pytest.raises(Conflicting):
        cluster.replace(CONFIG_MAP, FOUND)


def test_nobody_leads_us_with_our_token_to_another_place(server: Scripted, tmp_path: Path) -> None:
    cluster = Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config"))
    server.answer = lambda asked: Said(code=302, headers={"Location": "/api/v1/namespaces/models/secrets"})
    with pytest.raises(ApiError):
        cluster.get(CONFIG_MAP, "c")
    assert cluster.proxied("pod", 8081, "GET", "/seatrial/counts", None, 2).status == 302
    assert not [asked for asked in server.asked if "secrets" in asked.path]


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"[]", b""])
def test_who_answers_in_place_of_an_api_server_is_told_from_one(server: Scripted, tmp_path: Path, page: bytes) -> None:
    cluster = Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config"))
    server.answer = lambda asked: Said(page)
    with pytest.raises(ApiError, match="no API server"):
        cluster.list(CONFIG_MAP)


def test_a_busy_server_holds_us_up_for_a_moment_only(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_client, "_RETRY_AFTER_SECONDS", 0.1)
    cluster = Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config"))
    in_turn(server, Said(code=429, headers={"Retry-After": "5"}))
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    assert cluster.get(CONFIG_MAP, "c") == {}
    assert waited == [0.1]


def test_a_proxy_gets_the_password_in_its_address_and_nobody_else(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.replace("//", "//me:hush%21@"))
    monkeypatch.setenv("NO_PROXY", "near.example")
    with scripted() as behind:
        cluster = Cluster.of(kubeconfig=behind.kubeconfig(tmp_path / "config"))
        assert cluster.get(CONFIG_MAP, "c") == {}
        assert not behind.asked
    assert server.asked[0].path.startswith(behind.url)
    assert server.asked[0].headers["proxy-authorization"] == "Basic bWU6aHVzaCE="
    monkeypatch.setenv("HTTP_PROXY", "http://me:hush%21@127.0.0.1:1")
    with pytest.raises(ApiError) as caught:
        Cluster.of(kubeconfig=tmp_path / "config").get(CONFIG_MAP, "c")
    assert "hush" not in f"{caught.value} {caught.value.__cause__!r}"


def test_what_needs_no_proxy_is_asked_directly(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    assert Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config")).get(CONFIG_MAP, "c") == {}


def test_a_fork_has_connections_of_its_own(server: Scripted, tmp_path: Path) -> None:
    cluster = Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config"))
    cluster.get(CONFIG_MAP, "ours")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            cluster.get(CONFIG_MAP, "theirs")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    cluster.get(CONFIG_MAP, "ours")
    ports = [asked.port for asked in server.asked]
    assert len(ports) == 3
    assert ports[0] == ports[2] != ports[1]


def test_eight_at_once_keep_their_connections_on_the_smallest_machine(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiprocessing.cpu_count", lambda: 1)
    cluster = Cluster.of(kubeconfig=server.kubeconfig(tmp_path / "config"))
    together = threading.Barrier(8)

    def answer(asked: Asked) -> Said:
        together.wait(60)
        return Said()

    server.answer = answer
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            list(pool.map(lambda _: cluster.get(CONFIG_MAP, "c"), range(8)))
    assert len({asked.port for asked in server.asked}) == 8


def test_a_certificate_that_nobody_checks_is_told_once_in_our_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    named = {"name": "it"}
    where = tmp_path / "config"
    unchecked = {"server": "https://unchecked.test:6443", "insecure-skip-tls-verify": True}
    told = {
        "clusters": [named | {"cluster": unchecked}],
        "users": [named | {"user": {"token": "hush"}}],
        "contexts": [named | {"context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    where.write_text(yaml.safe_dump(told))
    for _ in range(3):
        with warnings.catch_warnings():
            Cluster.of(kubeconfig=where)
            warnings.warn("unverified", urllib3.exceptions.InsecureRequestWarning, stacklevel=1)
    [said] = [each.getMessage() for each in caplog.records if each.name == "seatrial.cluster"]
    assert said.startswith("the certificate of the API server unchecked.test:6443 is not checked")
    assert "hush" not in said
