"""A proxy in the environment never stands between the parts of a platform."""

import os

import httpx
import pytest
import requests.utils

from deployments.proxy_environment import LOOPBACK, heed_proxies

WAYS = ["http://127.0.0.1:4200/api", "http://localhost:5000", "http://[::1]:8080/"]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("no_proxy", "NO_PROXY"):  # what is set by the code goes with the test
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize(
    "proxy", ["http://user:secret@proxy:3128", "socks5://proxy:1080", "socks5h://proxy", "proxy:80"]
)
def test_loopback_is_reached_directly_and_the_rest_through_it(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    monkeypatch.setenv(name, proxy)
    assert heed_proxies() == ()
    client = httpx.Client()  # fails where it cannot use a proxy of the environment
    for way in WAYS:
        assert client._transport_for_url(httpx.URL(way)) is client._transport
        assert requests.utils.should_bypass_proxies(way, no_proxy=None) or "[" in way
    if "HTTPS" not in name:
        assert client._transport_for_url(httpx.URL("http://far.example/")) is not client._transport


@pytest.mark.parametrize(
    "proxy", ["socks://proxy:1080/", "socks4://user:secret@proxy", "ftp://x", "http://[::1", "://"]
)
def test_one_that_nobody_can_use_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    [told] = heed_proxies()
    assert told.startswith("ALL_PROXY is not used: it names a proxy of kind")
    assert "secret" not in told
    assert "ALL_PROXY" not in os.environ
    httpx.Client()


def test_what_was_exempt_stays_exempt() -> None:
    given = {"HTTP_PROXY": "http://proxy", "no_proxy": "mine.example, .corp", "NO_PROXY": "other.example"}
    heed_proxies(given)
    assert given["no_proxy"] == given["NO_PROXY"] == ",".join(["mine.example", ".corp", "other.example", *LOOPBACK])
    once = dict(given)
    heed_proxies(given)
    assert given == once


def test_without_a_proxy_nothing_changes() -> None:
    given = {"no_proxy": "x", "PATH": "/bin"}
    assert heed_proxies(given) == ()
    assert given == {"no_proxy": "x", "PATH": "/bin"}


@pytest.mark.parametrize("proxy", ["", "http://proxy:3128"])
@pytest.mark.parametrize("entry", ["fd00::/8", "::1/128", "[fd00::]/8", "host:port", "müller.example", "[::1]:x"])
def test_an_exemption_by_which_httpx_fails_is_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch, entry: str, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, f"mine.example, {entry},10.0.0.0/8")
    with pytest.raises(httpx.InvalidURL):
        httpx.Client()
    assert heed_proxies() == (f"{entry!r} in NO_PROXY is not heeded: no client knows what it says",)
    httpx.Client()
    assert os.environ["no_proxy"].split(",")[:2] == ["mine.example", "10.0.0.0/8"]
    assert heed_proxies() == ()


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("[::1]", "::1"), ("[::1]:8080", "::1"), ("fd00::1", "fd00::1"), ("*", "*"), ("*.corp", "*.corp"),
        (".corp", ".corp"), ("<local>", "<local>"), ("host:8080", "host:8080"), ("https://host", "https://host"),
    ],
)  # fmt: skip
def test_an_exemption_that_is_known_stays(monkeypatch: pytest.MonkeyPatch, entry: str, kept: str) -> None:
    monkeypatch.setenv("NO_PROXY", entry)
    assert heed_proxies() == ()
    assert os.environ["NO_PROXY"] == kept
    httpx.Client()


@pytest.mark.parametrize("proxy", ["proxy:port", "http://proxy:port", "http://", " "])
def test_a_proxy_at_no_address_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    [told] = heed_proxies()
    assert told.startswith("HTTP_PROXY is not used: it names a proxy of kind 'http' at no address")
    httpx.Client()


def test_blanks_around_a_proxy_are_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", " http://proxy:3128\n")
    assert heed_proxies() == ()
    httpx.Client()
